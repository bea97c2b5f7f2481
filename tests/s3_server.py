"""An S3 server for as long as a command runs: Debian's radosgw, with one monitor and one OSD that
keeps objects in memory.

    python -m tests.s3_server make chaos KILLS=30

The command's environment has the server's address and keys. Nothing listens beyond 127.0.0.1, and
nothing is left: no process, no file, no system service.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
_PROGRAMS = (*_PACKAGES, "radosgw-admin", "ceph", "monmaptool", "setpriv")
_LOOK_AGAIN = 0.1  # seconds
_LIMIT = 60  # seconds for any one step

# Without keys among the daemons no message can be encrypted, hence crc. One copy of everything is
# enough, and a monitor of its own need not gather proposals for a second.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:{monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
run dir = {folder}
keyring = {folder}/keyring
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
osd objectstore = memstore
memstore device bytes = 8589934592
mon allow pool size one = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
paxos propose interval = 0.05
paxos min wait = 0.01
rgw gc obj min wait = 1
rgw gc processor period = 10
rgw frontends = beast endpoint={gateway}
"""


class ServerError(Exception):
    """The server cannot be had here; the message is for whoever started it."""


@dataclass
class _Cluster:
    """Daemons and commands of one cluster, whose files lie in one folder."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, program: str, *arguments: str) -> None:
        """Runs a command to its end; an error of it says what it wrote."""
        done = subprocess.run(
            self._command(program, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{program} ended with {done.returncode}: {done.stdout.strip()}")

    def start(self, program: str, *arguments: str) -> None:
        """Starts a daemon in a session of its own, where no Ctrl-C comes before the tests are at
        their end; it ends with this process, even when that is killed."""
        with (self.folder / f"{program}.out").open("wb") as output:
            daemon = subprocess.Popen(
                ("setpriv", "--pdeathsig=KILL", *self._command(program, "-f", *arguments)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.daemons.append(daemon)

    def wait(self, address: str) -> None:
        """Waits until the gateway answers."""
        deadline = time.monotonic() + _LIMIT
        while True:
            self._check_daemons()
            try:
                with urllib.request.urlopen(address, timeout=5):
                    return
            except OSError as e:
                if time.monotonic() > deadline:
                    raise ServerError(f"no answer in {_LIMIT} seconds: {e}") from e
            time.sleep(_LOOK_AGAIN)

    def end(self) -> None:
        """Ends all daemons at once: their state is thrown away."""
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()

    def _command(self, program: str, *arguments: str) -> tuple[str, ...]:
        offline = () if program == "ceph" else ("--no-mon-config",)
        return (program, f"--conf={self.folder}/ceph.conf", *offline, *arguments)

    def _check_daemons(self) -> None:
        for daemon in self.daemons:
            if daemon.poll() is not None:
                lines = [line for path in self.folder.glob("*.out") for line in _last(path)]
                raise ServerError("\n".join((f"{daemon.args} ended", *lines)))


def _last(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-5:]


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables by which the tests reach a new, empty server."""
    with tempfile.TemporaryDirectory(prefix="s3-server-") as temporary:
        folder, fsid, disk = Path(temporary), str(uuid.uuid4()), str(uuid.uuid4())
        monitor, gateway = _free_address(), _free_address()
        variables = {
            "STYLEID_RAY_TEST_S3_ENDPOINT": f"http://{gateway}",
            "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        (folder / "keyring").touch()
        (folder / "ceph.conf").write_text(
            _CONFIGURATION.format(fsid=fsid, folder=folder, monitor=monitor, gateway=gateway)
        )
        members = f"{folder}/monmap"
        cluster = _Cluster(folder)
        try:
            cluster.run(
                "monmaptool",
                "--create",
                f"--fsid={fsid}",
                "--addv",
                "a",
                f"[v2:{monitor}]",
                members,
            )
            cluster.run("ceph-mon", "--mkfs", "--id=a", f"--monmap={members}")
            cluster.start("ceph-mon", "--id=a")
            cluster.run("ceph", f"--connect-timeout={_LIMIT}", "osd", "new", disk)
            cluster.run("ceph-osd", "--mkfs", "--id=0", f"--osd-uuid={disk}")
            cluster.start("ceph-osd", "--id=0")
            cluster.run(
                *("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests"),
                f"--access-key={variables['AWS_ACCESS_KEY_ID']}",
                f"--secret-key={variables['AWS_SECRET_ACCESS_KEY']}",
            )
            cluster.start("radosgw", "--name=client.rgw")
            cluster.wait(variables["STYLEID_RAY_TEST_S3_ENDPOINT"])
            yield variables
        finally:
            cluster.end()


def install() -> None:
    """Installs the server's packages where they are missing and this user can."""
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if not missing:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(_PACKAGES)}"
    if os.geteuid() or not shutil.which("apt-get"):
        raise ServerError(f"there is no {', '.join(missing)}; on Debian, as root: {by_hand}")
    print(by_hand, file=sys.stderr)
    done = subprocess.run(
        f"apt-get update -qq && {by_hand} -qq",
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"{by_hand}: {done.stdout.strip()[-1000:]}")


def run(command: list[str]) -> int:
    """Exit status of a command that ran beside a server."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    with s3_server() as variables:
        process = subprocess.Popen(command, env={**own, **variables})
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command has it too, and its end is waited for
            except SystemExit:
                process.send_signal(signal.SIGINT)  # for pytest, whose fixtures end what they began
                process.wait()
                raise


def main() -> int:
    """Runs the command line's command; 2 when there is no server for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        install()
        return run(sys.argv[1:])
    except (ServerError, subprocess.TimeoutExpired) as e:
        print(f"no S3 server: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
