"""The progress of a command on a terminal: a bar beside its line, rewritten in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from styleid_ray.batch.watch.progress import Progress

_BAR = 24
"""Columns of the bar."""


class Screen:
    """A display on a terminal; what Python writes to standard error meanwhile appears above it.

    Args:
        stream: of the terminal.
    """

    seconds = 0.5

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False)
        self.live = Live(
            console=self.console, auto_refresh=False, transient=True, redirect_stdout=False
        )
        self.live.start()

    def show(self, notes: Iterable[str], progress: Progress) -> None:
        """Shows the notes for good, and the state in place of the one before."""
        for note in notes:
            self.console.print(Text(note), soft_wrap=True)
        finished = progress.done + progress.failed + progress.making
        bar = ProgressBar(total=max(1, progress.planned), completed=finished, width=_BAR)
        words = [progress.line(), progress.machines]
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(" · ".join(filter(None, words))))
        self.live.update(row, refresh=True)

    def close(self) -> None:
        """Takes the state off the screen."""
        self.live.stop()
