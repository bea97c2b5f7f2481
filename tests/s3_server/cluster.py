"""Daemons and commands of a Ceph cluster."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

_LOOK_AGAIN = 0.1  # seconds
_LIMIT = 60  # seconds for any one step


class ServerError(Exception):
    """The server cannot be had here; the message is for whoever started it."""


@dataclass
class Cluster:
    """Daemons and commands of one cluster, whose files lie in one folder."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, program: str, *arguments: str) -> None:
        """Runs a command to its end. Raises ServerError with its output when it fails."""
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
        """Waits until an address answers; raises ServerError when a daemon ends before."""
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
