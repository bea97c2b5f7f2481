"""The training set: triples of drawn pictures, in chunks on disk.

A triple is a scene, another scene painted in a look, and the first scene painted in that look.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demo_model.drawing import to_image
from demo_model.drawing.looks import random_look
from demo_model.drawing.scenes import random_scene

CHUNK = 50
"""Triples in one file."""

Pixels = npt.NDArray[np.uint8]


def draw_triple(seed: int, size: int) -> Pixels:
    """uint8 [3, size, size, 3]: content, style, and the content painted in the style's look."""
    rng = np.random.default_rng([3, seed])
    content, other, look = random_scene(rng, size), random_scene(rng, size), random_look(rng)
    pictures = (content, look.paint(other, rng), look.paint(content, rng))
    return np.stack([np.asarray(to_image(picture)) for picture in pictures])


def draw_chunk(folder: Path, index: int, size: int, seed: int) -> Path:
    """Write chunk `index` of the training set unless it is there; returns its path."""
    path = folder / f"triples-{index:05d}.npy"
    if not path.exists():
        first = seed * 1_000_000 + index * CHUNK
        triples = np.stack([draw_triple(first + k, size) for k in range(CHUNK)])
        aside = path.with_suffix(".tmp.npy")
        np.save(aside, triples)
        aside.rename(path)
    return path


def draw_chunks(folder: Path, count: int, size: int, seed: int, workers: int) -> list[Path]:
    """Write the first `count` chunks with `workers` processes; those already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if workers <= 1:
        return [draw_chunk(folder, k, size, seed) for k in range(count)]
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(draw_chunk, folder, k, size, seed) for k in range(count)]
        return [job.result() for job in jobs]


def load_chunks(folder: Path, limit: int | None = None) -> list[Pixels]:
    """Memory-mapped chunks uint8 [CHUNK, 3, size, size, 3] in order, at most `limit`."""
    paths = sorted(p for p in folder.glob("triples-*.npy") if not p.stem.endswith(".tmp"))
    if not paths:
        raise FileNotFoundError(f"no drawn pictures in {folder}: run the stage `draw` first")
    return [np.load(path, mmap_mode="r") for path in paths[:limit]]
