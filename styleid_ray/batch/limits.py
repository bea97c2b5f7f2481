"""When a command stops before its work is done: `--limit`, `--deadline`, `--max-gpu-hours`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from styleid_ray.config import JobConfig
from styleid_ray.deadline import is_duration, parse_deadline
from styleid_ray.errors import ConfigError

if TYPE_CHECKING:
    from styleid_ray.batch.watch.board import View


class Limits:
    """The limits of one command, counted from when it begins.

    `reached` names the option that stopped it, as it was given; None while none did.

    Args:
        config: the job.
    """

    def __init__(self, config: JobConfig) -> None:
        self.config = config
        now = datetime.now().astimezone()
        self.deadline = parse_deadline(config.deadline, now) if config.deadline else None
        self.gpu_hours = self.gpus_per_actor = 0.0
        self.reached: str | None = None
        self._seen: float | None = None
        self._thread = threading.current_thread()

    def begin(self, gpus_per_actor: float) -> None:
        """The actors are about to start; raises ConfigError for a limit that leaves them no time or
        does not suit them."""
        config = self.config
        if config.max_gpu_hours and not gpus_per_actor:
            raise ConfigError(
                "--max-gpu-hours counts the time of GPUs, and the actors run on CPU: leave it out, "
                "or give --deadline"
            )
        if self.deadline and datetime.now(self.deadline.tzinfo) >= self.deadline:
            raise ConfigError(f"--deadline {config.deadline} has passed: give a later one")
        self.gpus_per_actor = gpus_per_actor

    def see(self, view: View) -> None:
        """Takes in the board, about once a second, and interrupts the main thread when a limit is
        reached. A run in another thread stops with its next shard."""
        now = time.monotonic()
        if self._seen is not None:
            hours = (now - self._seen) / 3600
            self.gpu_hours += hours * view.actors * self.gpus_per_actor
        self._seen = now
        if self.reached is None and self._name() and self._thread is threading.main_thread():
            self.reached = self._name()
            signal.pthread_kill(self._thread.ident or 0, signal.SIGINT)

    def check(self) -> bool:
        """Whether a limit is reached; between two shards."""
        self.reached = self.reached or self._name()
        return self.reached is not None

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Ends the block in good order when a limit interrupts it."""
        try:
            yield
        except KeyboardInterrupt:
            if self.reached is None:
                raise

    def _name(self) -> str | None:
        most = self.config.max_gpu_hours
        if self.deadline and datetime.now(self.deadline.tzinfo) >= self.deadline:
            return f"--deadline {self.config.deadline}"
        if most is not None and self.gpu_hours >= most:
            return f"--max-gpu-hours {most:g}"
        return None


def resume_hint(reached: str) -> str:
    """How to make the rest of a run that a limit stopped."""
    option, _, value = reached.partition(" ")
    if option == "--limit":
        return "run the same command without --limit to make the rest"
    if option == "--deadline" and not is_duration(value):
        return "run the same command with a later --deadline to resume"
    return "run the same command again to resume"
