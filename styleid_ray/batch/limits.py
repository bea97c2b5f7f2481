"""Limits that stop a command early: `--limit`, `--deadline`, `--max-gpu-hours`."""

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
from styleid_ray.errors import ConfigError, JobError

if TYPE_CHECKING:
    from styleid_ray.batch.watch.board import View


class Limits:
    """The limits of one command, counted from its start. `reached` is the option that stopped it,
    as it was given, or None. Raises ConfigError if a limit has already passed, or does not suit the
    job."""

    def __init__(self, config: JobConfig) -> None:
        self.config = config
        now = datetime.now().astimezone()
        self.deadline = parse_deadline(config.deadline, now) if config.deadline else None
        self.gpu_hours = self.gpus_per_actor = 0.0
        self.reached: str | None = None
        self._seen: float | None = None
        self._thread = threading.current_thread()
        self._lock, self._armed = threading.Lock(), False
        if config.on_cpu:
            self._check_gpus(0)
        if self.deadline and self.deadline <= now and not is_duration(config.deadline or ""):
            raise ConfigError(f"--deadline {config.deadline} has passed: give a later one")

    def begin(self, gpus_per_actor: float) -> None:
        """Call before the actors start; raises ConfigError for a limit that does not suit them."""
        self._check_gpus(gpus_per_actor)
        self.gpus_per_actor = gpus_per_actor

    def see(self, view: View) -> None:
        """Reads the board, about once per second. A reached limit interrupts the main thread in a
        block of `stopping`; a run in another thread stops with its next shard."""
        now = time.monotonic()
        if self._seen is not None:
            hours = (now - self._seen) / 3600
            self.gpu_hours += hours * view.holding * self.gpus_per_actor
        self._seen = now
        with self._lock:
            if self._armed and self.reached is None and (name := self._name()):
                self.reached = name
                signal.pthread_kill(self._thread.ident or 0, signal.SIGINT)

    def check(self) -> bool:
        """Whether a limit is reached, asked between two shards."""
        self.reached = self.reached or self._name()
        return self.reached is not None

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Ends the block cleanly when a limit interrupts it. A JobError that was being raised at
        the interrupt takes precedence."""
        with self._interruptible() as main:
            try:
                with self._lock:
                    self._armed = main
                try:
                    yield
                finally:
                    with self._lock:
                        self._armed = False
            except KeyboardInterrupt as e:
                if self.reached is None:
                    raise
                if error := _job_error(e):
                    raise error from error.__cause__

    @contextmanager
    def _interruptible(self) -> Iterator[bool]:
        """Whether this is the main thread. SIGINT interrupts it in the block, even in a background
        job of a script, which a shell starts with SIGINT ignored."""
        main = self._thread is threading.main_thread()
        before = signal.getsignal(signal.SIGINT)
        given = self.deadline or self.config.max_gpu_hours
        if not (main and given and before in (signal.SIG_IGN, signal.SIG_DFL)):
            yield main
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield main
        finally:
            signal.signal(signal.SIGINT, before)

    def _check_gpus(self, gpus_per_actor: float) -> None:
        if self.config.max_gpu_hours and not gpus_per_actor:
            raise ConfigError(
                "--max-gpu-hours counts GPU time, but the actors run on CPU: leave it out, "
                "or give --deadline"
            )

    def _name(self) -> str | None:
        most = self.config.max_gpu_hours
        if self.deadline and datetime.now(self.deadline.tzinfo) >= self.deadline:
            return f"--deadline {self.config.deadline}"
        if most is not None and self.gpu_hours >= most:
            return f"--max-gpu-hours {most:g}"
        return None


def resume_hint(reached: str) -> str:
    """The advice for a run that a limit stopped."""
    option, _, value = reached.partition(" ")
    if option == "--limit":
        return "run the same command without --limit to make the rest"
    if option == "--deadline" and not is_duration(value):
        return "run the same command with a later --deadline to resume"
    return "run the same command again to resume"


def _job_error(error: BaseException | None) -> JobError | None:
    """The error of the job that an interrupt came upon."""
    while error is not None and not isinstance(error, JobError):
        error = error.__context__
    return error
