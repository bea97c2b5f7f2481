"""An S3 server for as long as a command runs: Debian's radosgw, with one monitor and one OSD that
keeps objects in memory.

    python -m tests.s3_server make chaos KILLS=30

The command, a shell when none is given, has the address and keys of the server in its environment.
All of it is on 127.0.0.1 and in a temporary folder, and none of it is left afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

from tests.s3_server.cluster import ServerError
from tests.s3_server.server import s3_server

_PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
_PROGRAMS = (*_PACKAGES, "radosgw-admin", "ceph", "monmaptool", "setpriv")


def install() -> None:
    """Installs the server's packages where they are missing and this user can."""
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if not missing:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(_PACKAGES)}"
    if os.geteuid() or not shutil.which("apt-get"):
        raise ServerError(f"there is no {', '.join(missing)}; on Debian, as root: {by_hand}")
    print(by_hand, file=sys.stderr)
    for command in (["apt-get", "update", "-qq"], [*by_hand.split(), "-qq"]):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{' '.join(command)}: {done.stdout.strip()[-1000:]}")


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
    """Exit status of the command line's command, or 2 when there is no server for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        install()
        return run(sys.argv[1:] or ["bash"])
    except (ServerError, subprocess.TimeoutExpired) as e:
        print(f"no S3 server: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
