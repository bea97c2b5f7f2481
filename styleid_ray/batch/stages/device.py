"""A device that holds the model: loaded pictures go in, stylised ones come out as they are made.

One thread feeds the device and waits for nothing else. Whoever brings work prepares it, and turns
results into bytes, on a thread of their own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleid_ray.config import StyleParams
from styleid_ray.engine.pipeline import Counts, StyleIDPipeline


@dataclass(frozen=True)
class Picture:
    """A picture at working size, ready for the device."""

    pixels: Tensor
    """uint8 [H, W, 3]."""
    key: str
    """Equal for equal pictures."""

    @classmethod
    def of(cls, pixels: bytes | np.ndarray, height: int, width: int) -> Picture:
        """From RGB bytes, row by row, or an array of them."""
        data = bytearray(pixels) if isinstance(pixels, bytes) else bytearray(pixels.tobytes())
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        tensor = torch.frombuffer(data, dtype=torch.uint8).view(height, width, 3)
        return cls(tensor, f"{digest}-{height}x{width}")


@dataclass(frozen=True)
class Pairs:
    """Pairs to stylise together: each picture is inverted once."""

    contents: Sequence[Picture]
    styles: Sequence[Picture]
    index: Sequence[tuple[int, int]]
    """(content, style) of each pair."""
    params: Sequence[StyleParams]
    """One per pair."""


class Device:
    """A pipeline and the one thread that works with it.

    `working` tells whether that thread has work now, `pipe.steps` how far it is. Measures of work
    are counts of the pipeline and seconds: `stylize_seconds` for which the model ran,
    `waiting_seconds` since the work before, `actor_seconds` of the process in all.

    Args:
        pipe: the pipeline.
        began: when the process began, by `time.perf_counter`.
    """

    def __init__(self, pipe: StyleIDPipeline, began: float) -> None:
        self.pipe = pipe
        self.working = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._counted = began
        self._free: float | None = None

    def stylize(self, pairs: Pairs, begin: Any = None) -> Work:
        """Queues the pairs. `begin()` is called on the device's thread before the first step."""
        ready = replace(pairs, contents=self._near(pairs.contents), styles=self._near(pairs.styles))
        return Work(partial(self._run, ready, begin), self._thread)

    def _near(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures in the device's memory, where that has room for them."""
        try:
            return [replace(x, pixels=x.pixels.to(self.pipe.device)) for x in pictures]
        except torch.OutOfMemoryError:
            return list(pictures)

    def _run(self, pairs: Pairs, begin: Any, made: SimpleQueue[Any]) -> dict[str, Any]:
        pipe, before, notes = self.pipe, self.pipe.counts, len(self.pipe.notes)
        if begin:
            begin()
        began = time.perf_counter()
        waited = began - (self._free or began)
        self.working = True
        try:
            pipe.transfer_latents(
                pipe.encode([picture.pixels for picture in pairs.contents]),
                pipe.encode([picture.pixels for picture in pairs.styles]),
                pairs.index,
                pairs.params,
                keys=([x.key for x in pairs.contents], [x.key for x in pairs.styles]),
                finished=lambda rows, z: pipe.decode_batches(
                    z,
                    lambda some, pixels, finite: made.put(
                        ([rows[i] for i in some], pixels, finite)
                    ),
                ),
            )
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
    None for values that are not finite; an error of the device is raised there. `measures` and
    `notes` are those of the pairs, once all have been taken."""

    def __init__(self, run: Any, thread: ThreadPoolExecutor) -> None:
        self._made: SimpleQueue[Any] = SimpleQueue()
        self._future = thread.submit(run, self._made)
        self._future.add_done_callback(lambda _: self._made.put(None))
        self.measures: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        while (batch := self._made.get()) is not None:
            rows, pixels, finite = batch
            pictures = pixels.cpu().numpy()
            for row, picture, good in zip(rows, pictures, finite.tolist(), strict=True):
                yield row, picture if good else None
        result = self._future.result()
        self.measures, self.notes = result["measures"], result["notes"]


def _spent(before: Counts, now: Counts) -> dict[str, float]:
    """Counts of some work; a peak is the peak so far."""
    return {
        "unet_evaluations": now.unet_evaluations - before.unet_evaluations,
        "inversions": now.inversions - before.inversions,
        "inversions_reused": now.inversions_reused - before.inversions_reused,
        "batch_halvings": now.batch_halvings - before.batch_halvings,
        "peak_feature_bytes": now.peak_feature_bytes,
    }
