"""Every pair with every column's values, in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from styleid_ray.batch.stages.engine import load_engine
from styleid_ray.config import JobConfig, Method, StyleParams
from styleid_ray.preview.pairs import Chosen, Pair
from styleid_ray.preview.progress import PreviewProgress
from styleid_ray.preview.sweep import Column

if TYPE_CHECKING:
    from styleid_ray.engine.stylizer import Stylizer

Cells = dict[tuple[int, StyleParams], list[int]]
"""By pair and parameters: the columns that show the picture."""


@dataclass(frozen=True)
class Costs:
    """Work of a preview. The seconds of a call are divided in proportion to UNet evaluations."""

    seconds: float
    columns: tuple[tuple[int, float], ...]
    """UNet evaluations and seconds of each column, inversions aside."""
    inverted: int
    """Inversions that the columns share."""
    inversions: tuple[int, float]
    """Their UNet evaluations and seconds."""


@dataclass(frozen=True)
class Made:
    """The pictures of a preview."""

    results: Sequence[Sequence[Image.Image | None]]
    """By pair and column, in the content's shape; None where values are not finite."""
    costs: Costs


def expected(pairs: Sequence[Pair], columns: Sequence[Column]) -> int:
    """UNet evaluations that a preview takes."""
    columns = [column for column in columns if column.method == "styleid"]
    params = [column.params.resolved() for column in columns]
    pictures = len({name for pair in pairs for name in pair.pictures})
    inversions = {(p.paper_steps, p.steps, p.layers if p.inject else ()): p.steps for p in params}
    cells = _cells(pairs, columns, range(len(columns)))
    sampling = sum(own.resolved().sampling_evaluations for _, own in cells)
    return pictures * sum(inversions.values()) + sampling


def load(config: JobConfig, revision: str | None, evaluations: int) -> Stylizer:
    """The pipeline of a job's method, with its model if it has one, on this machine's device.

    Args:
        config: model, precision, device and engine options.
        revision: that of the checkpoint which was found.
        evaluations: UNet evaluations that are expected, by which the engine tunes itself.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the device asked for is not there.
    """
    # Threads that spin while they wait for each other are twenty times as slow on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return load_engine(config, revision, evaluations=evaluations)


def make(
    pipes: Mapping[Method, Stylizer],
    chosen: Chosen,
    columns: Sequence[Column],
    side: int,
    progress: PreviewProgress,
) -> Made:
    """Makes all pictures of the preview; each content and style is inverted once, unless columns
    differ in the parameters of an inversion (steps, and whether they are the paper's).

    Args:
        pipes: the pipelines of the columns' methods.
        chosen: the pairs with their pictures.
        columns: values of each column.
        side: longest side of the results that are kept, in pixels.
        progress: counts them.
    """
    from styleid_ray.batch.stages.pairs import pairs_of

    progress.follow(lambda: sum(pipe.unet_evaluations for pipe in pipes.values()))
    recipes = [pair.recipe for pair in chosen.pairs]
    pictures = chosen.rows
    results: list[list[Image.Image | None]] = [[None] * len(columns) for _ in recipes]

    def run(group: Sequence[int], pipe: Stylizer) -> None:
        cells = _cells(chosen.pairs, columns, group)
        rows = list(cells)

        def take(some: Sequence[int], pixels: Any, finite: Any) -> None:
            batch = pixels.cpu().numpy()
            for row, picture, good in zip(some, batch, finite.tolist(), strict=True):
                pair = rows[row][0]
                content = chosen.pictures["content", recipes[pair].content]
                result = content.shaped(Image.fromarray(picture), side) if good else None
                for column in cells[rows[row]]:
                    results[pair][column] = result
                    progress.count(bool(good))

        own = [params for _, params in rows]
        pairs_of([recipes[pair] for pair, _ in rows], own, pictures).stylize(pipe, take)

    return Made(results, _costs(pipes, columns, run))


def _cells(pairs: Sequence[Pair], columns: Sequence[Column], group: Sequence[int]) -> Cells:
    """The pictures to make for some columns: one for all that a pair's own values make equal."""
    cells: Cells = {}
    for column in group:
        for number, pair in enumerate(pairs):
            key = number, pair.params(columns[column].params)
            cells.setdefault(key, []).append(column)
    return cells


def _costs(
    pipes: Mapping[Method, Stylizer],
    columns: Sequence[Column],
    run: Callable[[Sequence[int], Stylizer], None],
) -> Costs:
    """Runs the columns, group by group, and measures them."""
    spent: dict[int, tuple[int, float]] = {}
    began, inverted, evaluated, inverting = time.perf_counter(), 0, 0, 0.0
    for group in _groups(columns):
        pipe = pipes[columns[group[0]].method]
        before, start = pipe.counts, time.perf_counter()
        run(group, pipe)
        seconds, counts = time.perf_counter() - start, pipe.counts
        evaluations = counts.unet_evaluations - before.unet_evaluations
        new = counts.inversions - before.inversions
        of_inversions = new * columns[group[0]].params.resolved().inversion_evaluations
        pace, each = seconds / max(1, evaluations), (evaluations - of_inversions) / len(group)
        own = each * pace if evaluations else seconds / len(group)
        spent |= dict.fromkeys(group, (round(each), own))
        inverted, evaluated = inverted + new, evaluated + of_inversions
        inverting += of_inversions * pace
    total = time.perf_counter() - began
    by_column = tuple(spent[i] for i in range(len(columns)))
    return Costs(total, by_column, inverted, (evaluated, inverting))


def _groups(columns: Sequence[Column]) -> Iterator[list[int]]:
    """Columns that one call of the engine can make together: they have one method, and differ in
    gamma and temperature alone."""

    def rest(column: Column) -> str:
        params = column.params.resolved().model_dump(exclude={"gamma", "temperature"})
        return f"{column.method} {params}"

    groups: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        groups.setdefault(rest(column), []).append(index)
    yield from groups.values()
