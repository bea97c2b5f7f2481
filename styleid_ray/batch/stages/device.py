"""A device that holds the model: loaded pictures go in, stylised ones come out as they are made.

One thread feeds the device and waits for nothing else. Callers prepare their work, and turn results
into bytes, on their own threads.
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

from styleid_ray.batch.stages.measured import Measured, as_row
from styleid_ray.batch.stages.pairs import Pairs, Picture
from styleid_ray.batch.watch.watchdog import end_process, watch_device
from styleid_ray.engine.cuda import is_device_failure
from styleid_ray.engine.stylizer import Counts, Stylizer

Failed = Callable[[str], None]
"""Receives the reason why a device failed."""


class Device:
    """A pipeline and the one thread that works with it.

    `working` is whether that thread has work now, `pipe.steps` its progress. The measures of work
    are counts of the pipeline and seconds: `stylize_seconds` while the model ran, `waiting_seconds`
    since the previous work, `actor_seconds` of the process since the previous work ended.

    Args:
        pipe: the pipeline.
        began: start of the process, by `time.perf_counter`.
        failed: called with the reason before the process ends because its device is unusable.
    """

    def __init__(self, pipe: Stylizer, began: float, failed: Failed = lambda reason: None) -> None:
        self.pipe, self.failed = pipe, failed
        self.working = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._counted = began
        self._free: float | None = None

    def watch(self, seconds: float, beat: Callable[[], object] = lambda: None) -> None:
        """Ends the process when the device has work and makes no step for `seconds`."""
        watch_device(lambda: self.pipe.steps if self.working else None, seconds, self.failed, beat)

    def stylize(self, pairs: Pairs, begin: Any = None, quality: bool = False) -> Work:
        """Queues the pairs. `begin()` is called on the device's thread before the first step;
        `quality` also measures their pictures."""
        with ending_with_device(self.failed):  # a call for other work may have failed meanwhile
            near = {"contents": self._near(pairs.contents), "styles": self._near(pairs.styles)}
        ready = replace(pairs, **near)
        return Work(partial(self._run, ready, begin, quality), self._thread, self.failed)

    def _near(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures in the device's memory, if it has room."""
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
    """Queued pairs. Iterating gives (pair, pixels uint8 [H, W, 3]) as pictures are made, None for
    values that are not finite. `quality` maps each pair taken so far to its column of that name, if
    it is measured. `measures` and `notes` are set once iteration ends."""

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
    """Ends the process on an error of the device in the block."""
    try:
        yield
    except Exception as e:
        if is_device_failure(e):
            end_process(f"{type(e).__name__}: {str(e).strip().splitlines()[0]}", failed)
        raise


def _spent(before: Counts, now: Counts) -> dict[str, float]:
    """Counts of the work in between; the peak is the peak so far."""
    return {
        "unet_evaluations": now.unet_evaluations - before.unet_evaluations,
        "inversions": now.inversions - before.inversions,
        "inversions_reused": now.inversions_reused - before.inversions_reused,
        "batch_halvings": now.batch_halvings - before.batch_halvings,
        "peak_feature_bytes": now.peak_feature_bytes,
    }
