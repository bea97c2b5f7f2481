"""The work of an actor: pictures to numbers and features."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
import ray
import torch
from PIL import Image

from styleid_ray.errors import RowError
from styleid_ray.evaluation.meter import PAIR_METRICS, Meter
from styleid_ray.evaluation.results import Result, Results

T = TypeVar("T")
FEATURES = pa.list_(pa.float32())
PAIRS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("content", pa.string()),
        ("style", pa.string()),
        ("style_place", pa.string()),
        *((name, pa.float64()) for name in PAIR_METRICS),
        ("trouble", pa.string()),
        ("features", FEATURES),
    ]
)
"""One row a result; without features where result or style cannot be read. `trouble` says what
could not, "ROLE: REASON"."""
STYLES = pa.schema([("times", pa.int64()), ("trouble", pa.string()), ("features", FEATURES)])
_READERS = 4


class Measure:
    """Units of results, or styles, to rows of `PAIRS` or `STYLES`. An actor of Ray Data.

    Args:
        results: where the pictures are.
        weights: reference to the networks' tensors.
        device: where to compute.
        threads: CPU threads to compute with.
    """

    def __init__(self, results: Results, weights: Any, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.results = results
        self.meter = Meter(ray.get(weights), device)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for packed in block["unit"].to_pylist():
            kind, unit = pickle.loads(packed)
            if kind == "styles":
                yield self.styles(unit)
                continue
            with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(_READERS) as readers:
                loaded = (self._with_sources(group, readers) for group in self.results.groups(unit))
                for group in _one_ahead(loaded, ahead):
                    yield self.pairs(group)

    def styles(self, unit: Sequence[tuple[str, str | None, int]]) -> pa.Table:
        """Features of styles, given by key, place, and how often each counts."""
        pictures = [self._source("style", key, place, None) for key, place, _ in unit]
        features = iter(self.meter.features([p for p in pictures if not isinstance(p, RowError)]))
        rows = [
            {"times": times, "trouble": f"style: {picture}"}
            if isinstance(picture, RowError)
            else {"times": times, "features": next(features)}
            for picture, (_, _, times) in zip(pictures, unit, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=STYLES)

    def pairs(self, group: Sequence[_Loaded]) -> pa.Table:
        """Metrics and features of results with their sources."""
        rows = []
        for result, sources in group:
            row: dict[str, Any] = {
                "pair_id": result.pair_id,
                "content": result.content,
                "style": result.style,
                "style_place": result.places.get("style"),
            }
            found = {"result": result.picture, **sources}
            lost = [f"{role}: {p}" for role, p in found.items() if isinstance(p, RowError)]
            row["trouble"] = lost[0] if lost else None
            if not isinstance(result.picture, RowError):
                row |= self.meter.pair(
                    result.picture,
                    _named(result.content, sources["content"]),
                    _named(result.style, sources["style"]),
                )
            rows.append(row)
        whole = [
            (row, result.picture)
            for row, (result, sources) in zip(rows, group, strict=True)
            if not isinstance(result.picture, RowError)
            and not isinstance(sources["style"], RowError)
        ]
        features = self.meter.features([picture for _, picture in whole])
        for (row, _), values in zip(whole, features, strict=True):
            row["features"] = values
        return pa.Table.from_pylist(rows, schema=PAIRS)

    def _with_sources(self, group: list[Result], pool: ThreadPoolExecutor) -> list[_Loaded]:
        """The results with their sources; each source is read once."""
        wanted: dict[tuple[str, str], tuple[str | None, Image.Image | None]] = {}
        for result in group:
            like = None if isinstance(result.picture, RowError) else result.picture
            wanted["content", result.content] = result.places.get("content"), like
            wanted["style", result.style] = result.places.get("style"), None
        pictures = pool.map(lambda item: self._source(*item[0], *item[1]), wanted.items())
        read = dict(zip(wanted, pictures, strict=True))
        return [
            (
                result,
                {role: read[role, getattr(result, role)] for role in ("content", "style")},
            )
            for result in group
        ]

    def _source(
        self, role: str, key: str, place: str | None, like: Image.Image | None
    ) -> Image.Image | RowError:
        try:
            return self.results.source(role, key, place, like)
        except RowError as e:
            return e


_Loaded = tuple[Result, Mapping[str, Image.Image | RowError]]


def _named(key: str, picture: Image.Image | RowError) -> tuple[str, Image.Image] | None:
    return None if isinstance(picture, RowError) else (key, picture)


def _one_ahead(items: Iterator[T], pool: ThreadPoolExecutor) -> Iterator[T]:
    """The items, the next one being made while one is used."""
    end = object()
    take: Callable[[], Any] = lambda: next(items, end)  # noqa: E731
    coming = pool.submit(take)
    while (item := coming.result()) is not end:
        coming = pool.submit(take)
        yield item
