"""Progress for a person: finished pairs, pairs per second, time left, failures."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BAR = 24
"""Columns of the bar."""
_LINE_SECONDS = 10.0
_SHORT = 1.0
"""Seconds from which on a rate says something."""
_QUIET_SECONDS = 30.0
"""Seconds without a new pair after which the line names the reason."""


class Progress:
    """Counts of a run in progress. Pairs count when they are made; `done` are committed.

    The rate is that of this session from its first pair on; the time left follows from it.
    `machines` describes actors and GPUs, for terminals alone. `evaluations` are UNet evaluations,
    shown until the first pair is made. `failing` follows the number of failed pairs.
    """

    def __init__(self, planned: int, done: int, failed: int, unit: str = "pairs") -> None:
        self.planned, self.done, self.failed, self.unit = planned, done, failed, unit
        self.new = self.making = self.evaluations = 0
        self.failing = "of them failed"
        self.notes: list[str] = []
        self.machines = ""
        self.begin()

    def begin(
        self, doing: str = "starting", awaited: Callable[[], str | None] = lambda: None
    ) -> None:
        """Starts the clock.

        Args:
            doing: shown beside the seconds until the first pair is made.
            awaited: returns the reason for waiting, if any; called when no pair has been made for
                half a minute.
        """
        self.doing, self.awaited = doing, awaited
        self.began = self.heard = time.monotonic()
        self._first: tuple[float, int] | None = None

    def add(self, done: int, failed: int) -> None:
        """Adds a committed shard."""
        self.done += done
        self.failed += failed
        self.new += done + failed
        self.making = max(0, self.making - done - failed)
        self._hear()

    def make(self, pairs: int) -> None:
        """Sets the number of pairs made in uncommitted shards."""
        moved, self.making = pairs != self.making, min(pairs, self.left)
        if moved:
            self._hear()

    def say(self, notes: Iterable[str]) -> None:
        """Shows notes above the progress, each once, even if many actors report it."""
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]

    @property
    def left(self) -> int:
        """Pairs that are not committed yet."""
        return self.planned - self.done - self.failed

    @property
    def rate(self) -> float:
        """Pairs per second in this session."""
        now, pairs = time.monotonic(), self.new + self.making
        began, before = self._first or (self.began, 0)
        if pairs > before and now - began >= _SHORT:
            return (pairs - before) / (now - began)
        return pairs / (now - self.began) if now > self.began else 0.0

    def line(self) -> str:
        """The state in one line."""
        finished, left = self.done + self.making + self.failed, self.left - self.making
        share = 100 * finished // self.planned if self.planned else 100
        unit = self.unit.removesuffix("s") if self.planned == 1 else self.unit
        parts = [f"{finished} of {self.planned} {unit} ({share} %)"]
        seconds = time.monotonic() - self.began
        if (rate := self.rate) and seconds >= _SHORT:
            parts.append(
                f"{rate:,.0f} {self.unit}/s" if rate >= 100 else f"{rate:.3g} {self.unit}/s"
            )
            if left:
                parts.append(f"{duration(left / rate)} left")
        elif left and self.evaluations:
            parts += [f"{self.evaluations:,} UNet evaluations", duration(seconds)]
        elif left:
            parts.append(f"{duration(seconds)} {self.doing}")
        if self.failed:
            parts.append(f"{self.failed} {self.failing}")
        if left and time.monotonic() - self.heard > _QUIET_SECONDS and (why := self.awaited()):
            parts.append(f"waiting: {why}")
        return " · ".join(parts)

    def _hear(self) -> None:
        self.heard = time.monotonic()
        if self._first is None:
            self._first = self.heard, self.new + self.making


class Lines:
    """The progress as plain lines, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.seconds = stream, _LINE_SECONDS

    def show(self, notes: Iterable[str], progress: Progress) -> None:
        """Prints the notes and the state."""
        print(*notes, progress.line(), sep="\n", file=self.stream, flush=True)

    def close(self) -> None:
        """Does nothing."""


class Screen:
    """A display on a terminal: a bar beside the line, rewritten in place. Other output of Python to
    standard error appears above it."""

    seconds = 0.5

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False)
        self.live = Live(
            console=self.console, auto_refresh=False, transient=True, redirect_stdout=False
        )
        self.live.start()

    def show(self, notes: Iterable[str], progress: Progress) -> None:
        """Prints the notes, and replaces the state."""
        for note in notes:
            self.console.print(Text(note), soft_wrap=True)
        finished = progress.done + progress.failed + progress.making
        bar = ProgressBar(total=max(1, progress.planned), completed=finished, width=_BAR)
        words = [progress.line(), progress.machines]
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(" · ".join(filter(None, words))))
        self.live.update(row, refresh=True)

    def close(self) -> None:
        """Removes the state from the screen."""
        self.live.stop()


@contextmanager
def shown(progress: Progress, stream: TextIO | None = None) -> Iterator[None]:
    """Shows the progress on a stream during the block: in place on a terminal, elsewhere as a line
    every ten seconds."""
    out = stream or sys.stderr
    plain = not out.isatty() or os.environ.get("TERM") == "dumb"
    screen, over, shown_notes = (Lines if plain else Screen)(out), threading.Event(), 0

    def notes() -> list[str]:
        nonlocal shown_notes
        new, shown_notes = progress.notes[shown_notes:], len(progress.notes)
        return new

    def keep_showing() -> None:
        while not over.wait(screen.seconds):
            screen.show(notes(), progress)

    thread = threading.Thread(target=keep_showing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=_LINE_SECONDS)  # a lost cluster may not answer
        progress.awaited = lambda: None
        screen.close()
        Lines(out).show(notes(), progress)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 pair, 1,200 pairs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in readable units: 45 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
    total = max(0, round(seconds))
    for big, small, size, part in (
        ("d", "h", 86400, 3600),
        ("h", "min", 3600, 60),
        ("min", "s", 60, 1),
    ):
        if total >= size:
            return f"{total // size} {big} {total % size // part} {small}"
    return f"{total} s"
