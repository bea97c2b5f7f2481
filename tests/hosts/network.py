"""Hosts with addresses and links of their own on one machine: Linux network namespaces, each on a
port of a bridge that lies in a namespace too. The machine's own network is not touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_NET = "10.203.0"
_BRIDGE = "bridge0"
_LOOK_AGAIN = 0.1  # seconds


def why_not() -> str:
    """The reason why no hosts can be made here, or nothing."""
    if os.geteuid():
        return "network namespaces are made by root alone"
    if not shutil.which("ip"):
        return "there is no ip command: apt-get install iproute2"
    name = f"styleid-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("netns", "exec", name, "true")
        return ""
    except subprocess.CalledProcessError as e:
        return f"network namespaces cannot be made here: {e.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def wait_for(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Waits until the condition holds; an AssertionError says what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {seconds:g} seconds"
        time.sleep(_LOOK_AGAIN)


@dataclass(frozen=True)
class Host:
    """One host; its processes are those that run in its namespace."""

    namespace: str
    address: str
    home: Path
    """Its HOME; its TMPDIR and the logs of what it runs lie below."""
    environment: Mapping[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, log: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Starts a command whose output goes to a file of this name in the host's home."""
        with (self.home / log).open("wb") as stream:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.home,
            )
        self.started.append(process)
        return process

    def run(self, log: str, *command: str | Path, seconds: float = 120.0) -> int:
        """Exit status of a command that ends by itself."""
        return self.start(log, *command).wait(seconds)

    def said(self, log: str) -> str:
        """What a command has written so far."""
        return (self.home / log).read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """What runs on the host now."""
        found: list[psutil.Process] = []
        for pid in _ip("netns", "pids", self.namespace).split():
            try:
                found.append(psutil.Process(int(pid)))
            except psutil.NoSuchProcess:
                continue
        return found

    @property
    def idle(self) -> bool:
        """Whether all that was started has ended."""
        return all(process.poll() is not None for process in self.started)

    def unplug(self) -> None:
        """Takes the link down: what the host does goes on, but nothing goes out or comes in."""
        _ip("-n", self.namespace, "link", "set", "eth0", "down")

    def plug_in(self) -> None:
        """Brings the link up again."""
        _ip("-n", self.namespace, "link", "set", "eth0", "up")

    def kill(self) -> None:
        """Ends every process of the host at once, as a loss of power does."""

        def ended() -> bool:
            left = self.processes()
            for process in left:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            return not left

        wait_for(f"the end of all processes of {self.namespace}", ended, 30)
        for process in self.started:
            process.wait()
        self.started.clear()


class Network:
    """Hosts that reach one another and nothing else."""

    def __init__(self, folder: Path, environment: Mapping[str, str], stack: ExitStack) -> None:
        self._folder, self._environment, self._stack = folder, environment, stack
        self._prefix = f"styleid-{os.getpid()}"
        self._ports = 0
        self._bridge = self._namespace("bridge")
        _ip("-n", self._bridge, "link", "add", _BRIDGE, "type", "bridge")
        _ip("-n", self._bridge, "link", "set", _BRIDGE, "up")

    def add(self, name: str, **environment: str) -> Host:
        """One more host, with what its environment has beside the network's."""
        self._ports += 1
        namespace, port = self._namespace(name), f"port{self._ports}"
        address = f"{_NET}.{self._ports}"
        home = self._folder / name
        (home / "tmp").mkdir(parents=True)
        own = {"HOME": str(home), "TMPDIR": str(home / "tmp")}
        host = Host(namespace, address, home, {**self._environment, **own, **environment})
        self._stack.callback(host.kill)
        peer = ("peer", "name", "eth0", "netns", namespace)
        _ip("-n", self._bridge, "link", "add", port, "type", "veth", *peer)
        _ip("-n", self._bridge, "link", "set", port, "master", _BRIDGE, "up")
        _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "lo", "up")
        host.plug_in()
        return host

    def _namespace(self, name: str) -> str:
        """A new namespace, which goes when the network goes."""
        namespace = f"{self._prefix}-{name}"
        _ip("netns", "add", namespace)
        self._stack.callback(_ip, "netns", "del", namespace)
        return namespace


@contextmanager
def network(folder: Path, environment: Mapping[str, str]) -> Iterator[Network]:
    """A network for the block. Its hosts have folders of their own in `folder`, and nothing of this
    process's environment but what is given. All of it, processes too, is gone after the block."""
    with ExitStack() as stack:
        yield Network(folder, environment, stack)


def _ip(*args: str) -> str:
    return subprocess.run(["ip", *args], capture_output=True, text=True, check=True).stdout
