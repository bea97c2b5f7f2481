"""Jobs run for their timing: the real pipeline, with a clock on every shard that comes out."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from styleid_ray.batch.cluster.connect import connected
from styleid_ray.batch.cluster.resources import Resources, choose_resources
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.pipeline import run_shards
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.batch.stages.stylize import Stylize
from styleid_ray.config import DEMO_MODEL, JobConfig

# A simulated actor computes nothing, so many of them share a core.
_CPUS_PER_SIMULATED_ACTOR = 0.05
_CPUS_BESIDE = 4

SHARD_PAIRS = 16
"""Pairs of a simulated job's shard."""


@dataclass(frozen=True)
class Ran:
    """A finished job, in order of commit."""

    began: float
    """When the actors were asked for, Ray being up; seconds since the epoch."""
    committed: list[float]
    """When the driver was told of each shard."""
    shards: list[dict[str, float]]
    """What each shard measured."""

    @property
    def pairs(self) -> int:
        """Pairs done."""
        return int(sum(shard["done"] for shard in self.shards))


class Clocked(Stylize):
    """The real actor. A shard's measures say when the device worked on it (`began` and `ended`,
    seconds since the epoch), in which process (`actor`), what it took (`cpu_seconds`, all threads),
    and how long the model's forwards were of that (`model_seconds`)."""

    def pipeline(self, config: JobConfig, revision: str | None, resources: Resources) -> Any:
        pipe: Any = super().pipeline(config, revision, resources)
        self.begun: dict[str, tuple[float, float, float]] = {}
        self.model_seconds = 0.0
        for part, method in ((pipe.unet, "forward"), (pipe.vae, "encode"), (pipe.vae, "decode")):
            setattr(part, method, self._timed(getattr(part, method)))
        return pipe

    def stylize(self, shard: Shard) -> Shard:
        done = super().stylize(shard)
        began, cpu, model = self.begun.pop(shard.name)
        return done.measured(
            began=began,
            ended=began + done.measures["stylize_seconds"],
            actor=os.getpid(),
            cpu_seconds=time.process_time() - cpu,
            model_seconds=self.model_seconds - model,
        )

    def begin(self, shard: str) -> None:
        super().begin(shard)
        self.begun[shard] = time.time(), time.process_time(), self.model_seconds

    def _timed(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return forward(*args, **options)
            finally:
                self.model_seconds += time.perf_counter() - began

        return timed


def run_job(config: JobConfig, stylize: type = Clocked) -> Ran:
    """Runs a job from its beginning; `stylize` is the class of its actors."""
    job, output = prepare(config), Output(config.output)
    begin_run(output, job, job.plan)
    work = Tally.read(output).left()
    with connected(config):
        if issubclass(stylize, Stylize):
            resources = choose_resources(config, job.plan.shards)
        else:
            lowest, highest = config.actors or (1, 1)
            resources = Resources(lowest, highest, 0, _CPUS_PER_SIMULATED_ACTOR)
        began = time.time()
        shards, committed = [], []
        for shard in run_shards(job, output, work, resources, job.plan.pairs, stylize=stylize):
            shards.append(shard.measures)
            committed.append(time.time())
    return Ran(began, committed, shards)


def simulated_job(folder: str, size: int, actors: int) -> JobConfig:
    """A job for simulated actors on drawn pictures, in shards of `SHARD_PAIRS`."""
    return JobConfig(
        content=f"{folder}/content",
        style=f"{folder}/style",
        output=f"{folder}/run",
        model=DEMO_MODEL,
        size=size,
        actors=(actors, actors),
        shard_pairs=SHARD_PAIRS,
    )


@contextmanager
def simulated_cluster(actors: int) -> Iterator[None]:
    """A Ray on this machine with room for so many simulated actors, and the light stages beside."""
    ray.init(
        address="local",
        num_cpus=_CPUS_BESIDE + math.ceil(actors * _CPUS_PER_SIMULATED_ACTOR),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()
