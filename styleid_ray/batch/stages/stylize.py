"""The stylize stage: an actor that holds the model and turns loaded shards into pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from styleid_ray.batch.cluster.ray_data import cause_line
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.output import run_name
from styleid_ray.batch.stages.recipe import Recipe, Recipes
from styleid_ray.batch.stages.shard import PICTURES, RESULTS, Shard, shards_in
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.batch.watch.metrics import STYLIZED, MeasureCounters
from styleid_ray.batch.watch.reporter import ATTEMPTS, Reporter
from styleid_ray.config import JobConfig, StyleParams
from styleid_ray.errors import JobError

if TYPE_CHECKING:
    from styleid_ray.engine.stylizer import Stylizer

_UNANSWERED = 60
"""Times that a sick actor asks a board that does not answer."""


class Stylize:
    """Loaded shards to shards with results. One instance is one Ray actor.

    An actor that cannot start, or whose node is excluded, is sick: it holds the shards that Ray
    gives it until all others are done, then hands them back undone.

    Args:
        config: the job.
        revision: of the model: a commit on the hub, or the digest of one in a store.
        resources: of the job's actors.
        board: the actor reports to it, if there is one.
    """

    def __init__(
        self, config: JobConfig, revision: str | None, resources: Resources, board: Any = None
    ) -> None:
        began = time.perf_counter()
        self.log = StageLog("stylize", config)
        self.reporter = Reporter(board)
        reason = self.reporter.starting()
        if reason is None:
            try:
                self._start(config, revision, resources, began)
            except Exception as e:
                if board is None:
                    raise
                reason = cause_line(e)
                self.reporter.unfit(reason)
        self.reporter.sick = reason is not None

    def _start(
        self, config: JobConfig, revision: str | None, resources: Resources, began: float
    ) -> None:
        # Imported once the board knows that this process starts: these imports can end it.
        from styleid_ray.batch.stages.device import Device, ending_with_device

        with ending_with_device(self.reporter.device_failed):
            pipe = self.pipeline(config, revision, resources)
        self.params, self.recipes = config.style_params, Recipes.of(config)
        self.counters = MeasureCounters(STYLIZED, run_name(config.output))
        self.device = Device(pipe, began, self.reporter.device_failed)
        self.reporter.evaluations = lambda: pipe.unet_evaluations
        self.device.watch(60 * config.stall_minutes, self.reporter.beat)
        self.reporter.started()

    def pipeline(self, config: JobConfig, revision: str | None, resources: Resources) -> Stylizer:
        """The pipeline of the job's method, on the actor's device."""
        from styleid_ray.batch.stages.engine import load_pipeline

        return load_pipeline(config, revision, resources)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        work = self.hold if self.reporter.sick else self.log.of(self.stylize)
        for shard in shards_in(block):
            yield work(shard).to_block()

    def stylize(self, shard: Shard) -> Shard:
        """The shard's pairs stylised together; a pair that fails has its reason instead."""
        pictures = {(row["role"], row["key"]): row for row in shard.pictures.to_pylist()}
        recipes = self.recipes.of_pairs(shard.pairs)
        own = shard.pairs.select(["gamma", "temperature"]).to_pylist()
        results: list[dict[str, Any]] = []
        for recipe in recipes:
            needed = [pictures[picture] for picture in recipe.pictures]
            failed = next((row for row in needed if row["pixels"] is None), None)
            results.append(
                {name: failed[name] for name in ("stage", "error", "message")}
                if failed
                else {name: needed[0][name] for name in ("source_width", "source_height")}
            )
        good = [row for row, result in enumerate(results) if "stage" not in result]
        values = [{name: x for name, x in own[row].items() if x is not None} for row in good]
        params = [self.params.model_copy(update=of_pair) for of_pair in values]
        measures, notes = self._make(
            shard.name, [recipes[row] for row in good], params, pictures, [results[r] for r in good]
        )
        self.reporter.ended("stylize", shard.name)
        self.counters.add({**measures, "pairs": len(good)})
        return replace(
            shard,
            pictures=PICTURES.empty_table(),  # no longer needed: the row travels lighter
            results=pa.Table.from_pylist(results, schema=RESULTS),
            notes=shard.notes + notes,
        ).measured(**measures)

    def _make(
        self,
        name: str,
        recipes: Sequence[Recipe],
        params: Sequence[StyleParams],
        pictures: Mapping[tuple[str, str], Mapping[str, Any]],
        results: Sequence[dict[str, Any]],
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Fills in the results of pairs whose pictures are there; returns measures and notes."""
        from styleid_ray.batch.stages.pairs import pairs_of

        if not recipes:
            return {}, ()
        pairs = pairs_of(recipes, params, pictures)
        work = self.device.stylize(pairs, lambda: self.begin(name), quality=True)
        for count, (pair, pixels) in enumerate(work, 1):
            results[pair].update(_result(pixels, work.quality[pair]))
            self.reporter.making(name, count)
        for result in results:
            result["seconds"] = work.measures["stylize_seconds"] / len(recipes)
        return work.measures, work.notes

    def hold(self, shard: Shard) -> Shard:
        """The unchanged shard without its pictures, once all others are done."""
        self.reporter.hold(shard.pairs.num_rows)
        unanswered = 0
        while not (released := self.reporter.beat()) and unanswered < _UNANSWERED:
            unanswered = unanswered + 1 if released is None else 0
            time.sleep(1)
        return replace(shard, pictures=PICTURES.empty_table(), handed_back=True)

    def begin(self, shard: str) -> None:
        """The device begins with the shard. Raises JobError if it has done so too often."""
        self.reporter.making(shard, 0)
        if self.reporter.begun("stylize", shard) > ATTEMPTS:
            raise JobError(
                f"shard {shard} ended the process that stylises it {ATTEMPTS} times, most often "
                "for lack of memory: use a smaller --batch, or --feature-dtype int8"
            )


def _result(pixels: np.ndarray | None, quality: Mapping[str, float | None]) -> dict[str, Any]:
    if pixels is None:
        from styleid_ray.engine.autoencoder import NOT_FINITE

        return {"stage": "stylize", "error": "NonFiniteResult", "message": NOT_FINITE}
    height, width, _ = pixels.shape
    return {"pixels": pixels.tobytes(), "width": width, "height": height, "quality": quality}
