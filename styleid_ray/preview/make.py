"""Makes every pair with every column's values, in this process."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from styleid_ray.batch.stages.engine import load_engine
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.config import JobConfig, Method, StyleParams
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.windows import Windows
from styleid_ray.preview.pairs import Chosen, Pair
from styleid_ray.preview.pictures import Name
from styleid_ray.preview.sweep import Column

if TYPE_CHECKING:
    from styleid_ray.engine.stylizer import Stylizer

Cells = dict[tuple[int, StyleParams], list[int]]
"""The columns that show a picture, by its pair and parameters."""


@dataclass
class Made:
    """The pictures of a preview and their costs. Calls are divided by UNet evaluations."""

    results: list[list[Image.Image | None]]
    """By pair and column, in the content's shape; None where values are not finite."""
    costs: list[tuple[int, float]]
    """UNet evaluations and seconds of each column, without inversions."""
    seconds: float = 0.0
    """Duration of the whole preview."""
    inverted: int = 0
    """Number of inversions, which the columns share."""
    inversions: tuple[int, float] = 0, 0.0
    """UNet evaluations and seconds of the inversions."""

    @property
    def failed(self) -> int:
        """Pictures whose values are not finite."""
        return sum(result is None for row in self.results for result in row)


class PreviewProgress(Progress):
    """Counts UNet evaluations, inversions included; if none are expected, pictures."""

    def __init__(self, evaluations: int, pictures: int = 0) -> None:
        unit = "UNet evaluations" if evaluations else "pictures"
        super().__init__(evaluations or pictures, 0, 0, unit)
        self._evaluations: Callable[[], int] = lambda: 0

    def follow(self, evaluations: Callable[[], int]) -> None:
        """Sets the function that returns the evaluations so far, for each display."""
        self._evaluations = evaluations

    def finish(self) -> None:
        """Replaces the estimate by the evaluations that were needed."""
        self.planned = self._evaluations() or self.planned

    def line(self) -> str:
        """The state in one line."""
        self.make(self._evaluations())
        return super().line()


def count_windows(chosen: Chosen, config: JobConfig, checkpoint: Checkpoint) -> Counter[Name]:
    """The windows in which the UNet sees each picture."""
    factor = checkpoint.description.vae_factor if config.tile else 1
    tile = config.tile and config.tile // factor
    sizes = {name: picture.fitted.size for name, picture in chosen.pictures.items()}
    return Counter(
        {
            name: len(Windows.over((h // factor, w // factor), tile))
            for name, (w, h) in sizes.items()
        }
    )


def expected(pairs: Sequence[Pair], columns: Sequence[Column], windows: Counter[Name]) -> int:
    """UNet evaluations of a preview, by the windows of its pictures."""
    columns = [column for column in columns if column.method == "styleid"]
    params = [column.params.resolved() for column in columns]
    pictures = {name for pair in pairs for name in pair.pictures}
    inversions = {(p.paper_steps, p.steps, p.layers if p.inject else ()): p.steps for p in params}
    inverted = sum(windows[name] for name in pictures) * sum(inversions.values())
    return inverted + _sampling(pairs, _cells(pairs, columns, range(len(columns))), windows)


def _sampling(pairs: Sequence[Pair], cells: Cells, windows: Counter[Name]) -> int:
    """UNet evaluations that sample some pictures."""
    return sum(
        windows["content", pairs[pair].recipe.content] * own.resolved().sampling_evaluations
        for pair, own in cells
    )


def load(config: JobConfig, revision: str | None, evaluations: int = 0) -> Stylizer:
    """The pipeline of a job's method, with its model if it has one, on this machine's device.

    Args:
        config: method, model, precision, device and engine options.
        revision: of the checkpoint.
        evaluations: expected UNet evaluations, by which the engine tunes itself.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the requested device does not exist.
    """
    # Threads that spin while they wait for each other are twenty times slower on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return load_engine(config, revision, evaluations=evaluations)


def make(
    pipes: Mapping[Method, Stylizer],
    chosen: Chosen,
    columns: Sequence[Column],
    windows: Counter[Name],
    side: int,
    progress: PreviewProgress,
) -> Made:
    """Makes all pictures of the preview, with a longest side of at most `side` pixels. Each content
    and style is inverted once, unless columns differ in the parameters of an inversion: the steps,
    and whether they are the paper's. `windows` are those of `count_windows`."""
    from styleid_ray.batch.stages.pairs import pairs_of

    progress.follow(lambda: sum(pipe.unet_evaluations for pipe in pipes.values()))
    recipes = [pair.recipe for pair in chosen.pairs]
    pictures, began = chosen.rows, time.perf_counter()
    made = Made([[None] * len(columns) for _ in recipes], [(0, 0.0)] * len(columns))

    def run(cells: Cells, pipe: Stylizer) -> None:
        rows = list(cells)

        def take(some: Sequence[int], pixels: Any, finite: Any) -> None:
            batch = pixels.cpu().numpy()
            for row, picture, good in zip(some, batch, finite.tolist(), strict=True):
                pair = rows[row][0]
                content = chosen.pictures["content", recipes[pair].content]
                result = content.shaped(Image.fromarray(picture), side) if good else None
                for column in cells[rows[row]]:
                    made.results[pair][column] = result
                    if progress.unit == "pictures":
                        progress.add(int(good), int(not good))

        own = [params for _, params in rows]
        pairs_of([recipes[pair] for pair, _ in rows], own, pictures).stylize(pipe, take)

    for group in _groups(columns):
        first = columns[group[0]]
        pipe, cells = pipes[first.method], _cells(chosen.pairs, columns, group)
        before, start = pipe.counts, time.perf_counter()
        run(cells, pipe)
        seconds, after = time.perf_counter() - start, pipe.counts
        evaluations = after.unet_evaluations - before.unet_evaluations
        sampled = _sampling(chosen.pairs, cells, windows) if evaluations else 0
        made.inverted += after.inversions - before.inversions
        _add_costs(made, group, seconds, evaluations, sampled)
    made.seconds = time.perf_counter() - began
    return made


def _add_costs(
    made: Made, group: Sequence[int], seconds: float, evaluations: int, sampled: int
) -> None:
    """Adds the cost of a group of columns: its UNet evaluations, and those of them that sampled."""
    pace, each = seconds / max(1, evaluations), sampled / len(group)
    for column in group:
        own = each * pace if evaluations else seconds / len(group)
        made.costs[column] = round(each), own
    total, spent = made.inversions
    inverting = evaluations - sampled
    made.inversions = total + inverting, spent + inverting * pace


def _cells(pairs: Sequence[Pair], columns: Sequence[Column], group: Sequence[int]) -> Cells:
    """The pictures to make for some columns: one for all columns that a pair's own values make
    equal."""
    cells: Cells = defaultdict(list)
    for column, (number, pair) in itertools.product(group, enumerate(pairs)):
        cells[number, pair.params(columns[column].params)].append(column)
    return cells


def _groups(columns: Sequence[Column]) -> Iterable[list[int]]:
    """Columns that one call of the engine can make together: they have one method and differ in
    gamma and temperature alone."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, column in enumerate(columns):
        rest = column.params.resolved().model_dump(exclude={"gamma", "temperature"})
        groups[f"{column.method} {rest}"].append(index)
    return groups.values()
