"""A device that holds the model: loaded pictures go in, stylised ones come out as they are made.

One thread feeds the device and waits for nothing else. Whoever brings work prepares it, and turns
results into bytes, on a thread of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.stages.baseline import load_baseline
from styleid_ray.batch.stages.engine import load_engine
from styleid_ray.batch.stages.measured import Measured, as_row
from styleid_ray.batch.stages.pairs import Pairs, Picture
from styleid_ray.batch.watch.watchdog import end_process, watch_device
from styleid_ray.config import JobConfig
from styleid_ray.engine.cuda import is_device_failure
from styleid_ray.engine.stylizer import Counts, Stylizer

Failed = Callable[[str], None]
"""Is told why a device failed."""


class Device:
    """A pipeline and the one thread that works with it.

    `working` tells whether that thread has work now, `pipe.steps` how far it is. Measures of work
    are counts of the pipeline and seconds: `stylize_seconds` for which the model ran,
    `waiting_seconds` since the work before, `actor_seconds` of the process in all.

    Args:
        pipe: the pipeline.
        began: when the process began, by `time.perf_counter`.
        failed: is told the reason before the process ends because its device is of no more use.
    """

    def __init__(self, pipe: Stylizer, began: float, failed: Failed = lambda reason: None) -> None:
        self.pipe, self.failed = pipe, failed
        self.working = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._counted = began
        self._free: float | None = None

    def watch(self, seconds: float, beat: Callable[[], object] = lambda: None) -> None:
        """Ends the process when the device makes no step for so long while it has work."""
        watch_device(lambda: self.pipe.steps if self.working else None, seconds, self.failed, beat)

    def stylize(self, pairs: Pairs, begin: Any = None, quality: bool = False) -> Work:
        """Queues the pairs. `begin()` is called on the device's thread before the first step.
        `quality` is whether their pictures are measured, too."""
        ready = replace(pairs, contents=self._near(pairs.contents), styles=self._near(pairs.styles))
        return Work(partial(self._run, ready, begin, quality), self._thread, self.failed)

    def _near(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures in the device's memory, where that has room for them."""
        try:
            return [replace(x, pixels=x.pixels.to(self.pipe.device)) for x in pictures]
        except torch.OutOfMemoryError:
            return list(pictures)

    def _run(
        self, pairs: Pairs, begin: Any, quality: bool, made: SimpleQueue[Any]
    ) -> dict[str, Any]:
        pipe, before, notes = self.pipe, self.pipe.counts, len(self.pipe.notes)
        if begin:
            begin()
        began = time.perf_counter()
        waited = began - (self._free or began)
        self.working = True
        try:
            if quality:
                measured = Measured(pairs)

                def take(rows: Sequence[int], pixels: Tensor, finite: Tensor) -> None:
                    made.put((rows, pixels, finite, measured.of(rows, pixels)))

                pairs.stylize(pipe, take, measured.structure)
            else:
                pairs.stylize(pipe, lambda *results: made.put((*results, None)))
        finally:
            self.working = False
            self._free = now = time.perf_counter()
        spent = _spent(before, pipe.counts) | {
            "stylize_seconds": now - began,
            "waiting_seconds": waited,
            "actor_seconds": now - self._counted,
        }
        self._counted = now
        return {"measures": spent, "notes": tuple(pipe.notes[notes:])}


class Work:
    """Pairs on their way. Iterating gives (pair, pixels uint8 [H, W, 3]) as they are made, with
    None for values that are not finite. `quality` has the column of that name of the pairs that
    were taken, where they are measured. `measures` and `notes` are those of the pairs, once all
    have been taken."""

    def __init__(self, run: Any, thread: ThreadPoolExecutor, failed: Failed) -> None:
        self.failed = failed
        self._made: SimpleQueue[Any] = SimpleQueue()
        self._future = thread.submit(run, self._made)
        self._future.add_done_callback(lambda _: self._made.put(None))
        self.measures: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()
        self.quality: dict[int, dict[str, float | None]] = {}

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        with ending_with_device(self.failed):
            while (batch := self._made.get()) is not None:
                rows, pixels, finite, quality = batch
                pictures = pixels.cpu().numpy()
                if quality is not None:
                    self.quality.update(zip(rows, map(as_row, quality.tolist()), strict=True))
                for row, picture, good in zip(rows, pictures, finite.tolist(), strict=True):
                    yield row, picture if good else None
            result = self._future.result()
        self.measures, self.notes = result["measures"], result["notes"]


@contextmanager
def ending_with_device(failed: Failed) -> Iterator[None]:
    """An error of the device within the block ends the process."""
    try:
        yield
    except Exception as e:
        if is_device_failure(e):
            end_process(f"{type(e).__name__}: {str(e).strip().splitlines()[0]}", failed)
        raise


def load_pipeline(config: JobConfig, revision: str | None, resources: Resources) -> Stylizer:
    """The pipeline of a job's method with its model, if it has one, on the device and with the
    memory of one actor."""
    share = resources.share()
    torch.set_num_threads(share.threads)
    if config.method != "styleid":
        return load_baseline(
            config, revision, resources.device(config.device), share.memory, resources.device_share
        )
    return load_engine(
        config,
        revision,
        resources.device(config.device),
        host_share=share.memory,
        device_share=resources.device_share,
        evaluations=resources.evaluations,
    )


def _spent(before: Counts, now: Counts) -> dict[str, float]:
    """Counts of some work; a peak is the peak so far."""
    return {
        "unet_evaluations": now.unet_evaluations - before.unet_evaluations,
        "inversions": now.inversions - before.inversions,
        "inversions_reused": now.inversions_reused - before.inversions_reused,
        "batch_halvings": now.batch_halvings - before.batch_halvings,
        "peak_feature_bytes": now.peak_feature_bytes,
    }
