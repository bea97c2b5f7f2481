"""One job, started again and again, while its parts are killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.machines import Machines

DECK = (*("load", "commit") * 3, *("stylize",) * 2, "node", "driver")
"""Of every ten kills, so many of a kind."""
_PATIENCE = 300.0  # seconds, after which a job that does nothing is taken to hang
_RARE = 3.0  # seconds of work in which a stage that has none left is not seen


@dataclass
class Storm:
    """Kills in an order and at moments that a seed decides, with a log of them."""

    machines: Machines
    seed: int
    kills: int
    deck: tuple[str, ...] = DECK
    longest_wait: float = 2.0
    """Seconds between kills are drawn from 0 to this."""
    killed: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    stopped: int = 0
    """Drivers that ended themselves, with status 2 and a line that the same command resumes."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.began = time.monotonic()
        packs = -(-self.kills // len(self.deck))
        self.left = [
            kind for _ in range(packs) for kind in self.chance.sample(self.deck, len(self.deck))
        ][: self.kills]
        self.say(f"seed {self.seed}, {self.kills} kills")

    def say(self, what: str) -> None:
        """A line of the log."""
        print(f"{time.monotonic() - self.began:8.2f} {what}", flush=True)

    def run(self, command: list[str], logs: Path, expected: int = 0) -> None:
        """Runs the command of `styleid-ray` until it ends with the expected status, and kills
        meanwhile for as long as kills are left."""
        while True:
            self.starts += 1
            log = logs / f"driver-{self.starts}.log"
            with log.open("w") as stream:
                driver = subprocess.Popen(
                    [sys.executable, "-m", "styleid_ray.cli", *command],
                    stdout=stream,
                    stderr=stream,
                )
            self.say(f"driver {driver.pid} started")
            try:
                self._disturb(driver)
                status = driver.wait(_PATIENCE)
                self.say(f"driver {driver.pid} ended with {status}")
                if status == expected:
                    return
                if status != -signal.SIGKILL:
                    assert status == 2, f"seed {self.seed}: a driver ended with {status}"
                    assert "run the same command again to resume" in log.read_text()
                    self.stopped += 1
            except (AssertionError, subprocess.TimeoutExpired):
                self.say(log.read_text())
                raise
            finally:
                driver.kill()
                driver.wait()

    def _disturb(self, driver: subprocess.Popen[bytes]) -> None:
        earlier = self.machines.busy()
        while self.left and not _ends(driver, self.chance.uniform(0, self.longest_wait)):
            kind = self.left.pop()
            hit = self._kill(kind, driver, earlier)
            if hit is None:
                self.left.insert(0, kind)  # its turn comes again
                continue
            self.killed[kind] += 1
            self.say(f"killed {kind} {hit}")
            if kind == "driver":
                return

    def _kill(
        self, kind: str, driver: subprocess.Popen[bytes], earlier: set[psutil.Process]
    ) -> int | str | None:
        """What was killed, or None when the driver ended or does everything but this kind now."""
        if kind == "driver":
            driver.kill()
            return driver.pid
        if kind == "node":
            gone = self.machines.kill_node(self.chance)
            _ends(driver, self.chance.uniform(0, self.longest_wait))
            self.machines.add_node()
            return gone
        began, idle = time.monotonic(), time.monotonic()
        while not (hit := self.machines.kill_worker(kind, self.chance, earlier)):
            if _ends(driver, 0.002):
                return None
            if not self.machines.busy() - earlier:
                idle = time.monotonic()
            elif time.monotonic() - idle > _RARE:
                return None
            assert time.monotonic() - began < _PATIENCE, f"seed {self.seed}: nothing is done"
        return hit


def _ends(driver: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the driver ends within so many seconds."""
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
