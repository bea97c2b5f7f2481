"""The choice of a run's pairs that the page shows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output
from styleid_ray.planning.hashing import GOLDEN, hashes, mix

_READERS = 8
_FEW = 24
"""An axis of at most 24 pictures is shown whole; the other one is sampled."""
_DENSE = 0.5


@dataclass(frozen=True)
class Sample:
    """Rows of the committed files."""

    rows: dict[str, np.ndarray]
    """Sorted row numbers by file, without files that have no chosen row."""
    shown: int
    total: int
    """Rows of all committed files."""
    crossed: bool
    """Whether at least half of all content/style combinations exist, enough for a grid."""


def choose(output: Output, most: int) -> Sample:
    """At most `most` rows of a run's data, the same ones each time.

    A run that crosses contents with styles gives whole rows and columns of its grid, as far as
    `most` allows; any other run gives single pairs, each equally likely. Variants of a pair stay
    together. Memory: 32 bytes per pair.
    """
    files = output.files("data")
    with ThreadPoolExecutor(_READERS) as pool:
        parts = list(pool.map(lambda name: output.parsed(name, _hashes), files))
    counts = [part.shape[1] for part in parts]
    hashed = np.concatenate(parts, axis=1) if parts else np.empty((4, 0), np.uint64)
    content, style, pair, variant = hashed
    crossed = _is_crossed(content, style)
    chosen = np.arange(len(pair))
    if len(pair) > most:
        score = _score(content, style) if crossed else pair
        chosen = np.sort(np.lexsort((variant, pair, score))[:most])
    ends = np.cumsum(counts)
    rows = {}
    for name, count, end in zip(files, counts, ends, strict=True):
        start = end - count
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
        if len(inside):
            rows[name] = inside - start
    return Sample(rows, len(chosen), len(pair), crossed)


def _hashes(file: Any) -> np.ndarray:
    """64-bit hashes [4, rows] of the rows of an open file: of content, style, both, and both
    with the variant."""
    table = pq.read_table(file, columns=["content", "style", "k"])
    content, style = (_key_hashes(table.column(role)) for role in ("content", "style"))
    k = table.column("k").to_numpy().astype(np.uint64)
    both = mix(content) + style * np.uint64(3)
    variant = mix(both + k * np.uint64(GOLDEN))
    return np.stack([content, style, mix(both), variant])


def _key_hashes(keys: pa.ChunkedArray) -> np.ndarray:
    """Hashes [rows] of a column's keys."""
    encoded = keys.combine_chunks().dictionary_encode()
    return hashes(encoded.dictionary.to_pylist(), 0)[encoded.indices.to_numpy()]


def _is_crossed(content: np.ndarray, style: np.ndarray) -> bool:
    contents, styles = len(np.unique(content)), len(np.unique(style))
    distinct = len(np.unique(mix(content) + style))
    return distinct >= _DENSE * contents * styles if distinct else False


def _score(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """A score that is small for the pairs of one block of the grid."""
    contents, styles = len(np.unique(content)), len(np.unique(style))
    if styles <= _FEW < contents:
        return content
    if contents <= _FEW < styles:
        return style
    return np.maximum(content, style)
