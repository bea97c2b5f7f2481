"""From the options of a preview to its grid and page."""

import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from PIL import Image

from styleid_ray.batch.prepare import model_of
from styleid_ray.batch.watch.progress import counted
from styleid_ray.batch.watch.progress import shown as showing
from styleid_ray.config import JobConfig, Method
from styleid_ray.errors import ConfigError
from styleid_ray.preview.lines import command_line, settings_line, stylize_line
from styleid_ray.preview.make import (
    Made,
    PreviewProgress,
    count_windows,
    expected,
    load,
    make,
)
from styleid_ray.preview.page import render_page
from styleid_ray.preview.pairs import Chosen, Pair, choose
from styleid_ray.preview.place import Place, as_given, folder_of, split_output
from styleid_ray.preview.sheet import Row, draw_sheet
from styleid_ray.preview.sweep import read_columns

MOST_PAIRS = 24
CELLS = 32, 512
"""Bounds of a cell's side, in pixels."""
_SIDES = ((64, 1024), (400, 512), (math.inf, 256))
"""(the most pictures, longest side of their copies in pixels)"""


@dataclass(frozen=True)
class Preview:
    """A preview that was written."""

    picture: str
    """Path or URL, as `page`."""
    page: str
    summary: str
    failed: int
    """Sources that could not be read, and results whose values are not finite."""

    @property
    def exit_status(self) -> int:
        """0, or 1 when something failed."""
        return 1 if self.failed else 0


def write_preview(
    options: Mapping[str, Any], pairs: int = 4, cell: int = 256, stream: TextIO | None = None
) -> Preview:
    """Makes a few pairs with every combination of the given values, and writes the grid (PNG)
    and the page (HTML) that show them.

    Args:
        options: the given ones of `sweep.OPTIONS`, and `output`: a file that ends in .png, with
            the page beside it, or a folder or URL.
        pairs: the most pairs, 1 to 24.
        cell: longest side of a picture in the grid, 32 to 512 pixels.
        stream: of the progress, standard error by default.

    Raises:
        JobError: an option is wrong, no picture can be read, or the model cannot be used.
    """
    _check("pairs", pairs, 1, MOST_PAIRS)
    _check("cell", cell, *CELLS)
    config, columns = read_columns(options)
    folder, name = split_output(config.output)
    place = Place(config, folder, [f"{name}.png"])
    checkpoint, config = model_of(config)
    columns = [column.with_layers(config.layers) for column in columns]
    chosen = choose(config, pairs, checkpoint.factor)
    methods: list[Method] = [*dict.fromkeys(column.method for column in columns)]
    _check_styles(chosen, methods)
    windows = count_windows(chosen, config, checkpoint)
    evaluations = expected(chosen.pairs, columns, windows)
    progress = PreviewProgress(evaluations, len(chosen.pairs) * len(columns))
    progress.say([*(f"left out: {line}" for line in chosen.unread), *chosen.notes])
    with showing(progress, stream or sys.stderr):
        pipes: dict[Method, Any] = {
            method: load(
                config.model_copy(update={"method": method}), checkpoint.revision, evaluations
            )
            for method in methods
        }
        pictures = sum(len(pair.pictures) + len(columns) for pair in chosen.pairs)
        side = next(side for most, side in _SIDES if pictures <= most)
        made = make(pipes, chosen, columns, windows, side, progress)
        for pipe in pipes.values():
            progress.say(pipe.notes)
        progress.finish()
    rows = [
        _row(pair, chosen, config, results)
        for pair, results in zip(chosen.pairs, made.results, strict=True)
    ]
    labels = [column.labels or ("result",) for column in columns]
    settings = settings_line(config, columns)
    summary = _summary(made, len(columns), pipes[config.method].device.type)
    command = command_line("preview", {**options, "pairs": pairs, "cell": cell})
    jobs = [stylize_line(options, column, config.working_size) for column in columns]
    page = render_page(rows, labels, settings, summary, made, command, jobs)
    sheet = io.BytesIO()
    draw_sheet(rows, labels, settings, cell).save(sheet, format="png", optimize=True)
    place.write({f"{name}.png": sheet.getvalue(), f"{name}.html": page.encode()})
    given = str(options["output"])
    path = as_given(given, name) if folder_of(given) == folder else given[: -len(".png")]
    return Preview(f"{path}.png", f"{path}.html", summary, len(chosen.unread) + made.failed)


def _row(
    pair: Pair, chosen: Chosen, config: JobConfig, results: Sequence[Image.Image | None]
) -> Row:
    content, *styles = (chosen.pictures[name] for name in pair.pictures)
    names = [
        f"{part}: {style.name}" if part else style.name
        for part, style in zip(pair.parts(config), styles, strict=True)
    ]
    originals = [style.original for style in styles]
    return Row(content.original, originals, (content.name, *names), results, pair.own_line)


def _check_styles(chosen: Chosen, methods: Sequence[Method]) -> None:
    several = any(len(pair.recipe.styles) > 1 for pair in chosen.pairs)
    for method in methods:
        if several and method != "styleid":
            raise ConfigError(
                f"--method {method} takes one style per picture, and rows of --table have several: "
                "leave one of them out"
            )


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"--{name} {value}: must be from {low} to {high}")


def _summary(made: Made, columns: int, device: str) -> str:
    pairs = len(made.results)
    pace = f"{made.seconds / (pairs * columns):.2g} s per picture on {device}"
    counts = counted(pairs, "pair"), counted(columns, "column")
    failed = f", {made.failed} failed" if made.failed else ""
    return f"{counted(pairs * columns, 'picture')} ({', '.join(counts)}){failed}, {pace}"
