"""Which of a run's pairs the page shows."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output

_READERS = 8
_FEW = 24
"""An axis of at most 24 pictures is shown whole; the other one is sampled."""
_DENSE = 0.5


@dataclass(frozen=True)
class Sample:
    """Rows of the committed files."""

    rows: dict[str, np.ndarray]
    """Sorted row numbers by file; files without shown rows are omitted."""
    shown: int
    total: int
    """Rows of all committed files."""
    crossed: bool
    """Whether at least half of all content/style combinations are there: a grid is worth it."""


def choose(output: Output, most: int, seed: int) -> Sample:
    """At most `most` rows of a run's data, the same ones each time.

    From a run that crosses contents with styles, some contents and some styles are taken with (as
    far as `most` allows) all their pairs; from any other, single pairs, each equally likely.
    Variants of a pair stay together. Only 32 bytes per pair are held.
    """
    files = output.files("data")
    with ThreadPoolExecutor(_READERS) as pool:
        parts = list(pool.map(lambda name: output.parsed(name, lambda f: _hashes(f, seed)), files))
    counts = [part.shape[1] for part in parts]
    hashes = np.concatenate(parts, axis=1) if parts else np.empty((4, 0), np.uint64)
    content, style, pair, variant = hashes
    crossed = _is_crossed(content, style)
    chosen = np.arange(len(pair))
    if len(pair) > most:
        chosen = _smallest(_score(content, style) if crossed else pair, (pair, variant), most)
    ends = np.cumsum(counts)
    rows = {}
    for name, count, end in zip(files, counts, ends, strict=True):
        start = end - count
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
        if len(inside):
            rows[name] = inside - start
    return Sample(rows, len(chosen), len(pair), crossed)


def _hashes(file: Any, seed: int) -> np.ndarray:
    """Seeded 64-bit hashes [4, rows] of each row of an open file: of its content, its style, both,
    and both with the variant."""
    table = pq.read_table(file, columns=["content", "style", "k"])
    content, style = (_key_hashes(table.column(role), seed) for role in ("content", "style"))
    k = table.column("k").to_numpy().astype(np.uint64)
    both = _mixed(content) + style * np.uint64(3)
    variant = _mixed(both + k * np.uint64(0x9E3779B97F4A7C15))
    return np.stack([content, style, _mixed(both), variant])


def _key_hashes(keys: pa.ChunkedArray, seed: int) -> np.ndarray:
    """Hashes [rows] of a column's keys."""
    encoded = keys.combine_chunks().dictionary_encode()
    salt = str(seed).encode()[:16]
    distinct = [
        int.from_bytes(hashlib.blake2b(str(key).encode(), digest_size=8, salt=salt).digest())
        for key in encoded.dictionary.to_pylist()
    ]
    return np.array(distinct, np.uint64)[encoded.indices.to_numpy()]


def _mixed(values: np.ndarray) -> np.ndarray:
    """A fixed shuffle of the 64-bit numbers, after which every bit depends on every other."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def _is_crossed(content: np.ndarray, style: np.ndarray) -> bool:
    contents, styles = len(np.unique(content)), len(np.unique(style))
    distinct = len(np.unique(_mixed(content) + style))
    return distinct >= _DENSE * contents * styles if distinct else False


def _score(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Small for pairs of the contents and styles to be shown first: a full block of the grid."""
    contents, styles = len(np.unique(content)), len(np.unique(style))
    if styles <= _FEW < contents:
        return content
    if contents <= _FEW < styles:
        return style
    return np.maximum(content, style)


def _smallest(score: np.ndarray, ties: tuple[np.ndarray, ...], most: int) -> np.ndarray:
    """Sorted positions of the `most` smallest scores; equal ones follow the first tie, then on."""
    return np.sort(np.lexsort((*ties[::-1], score))[:most])
