"""The work of an actor: from pictures to metrics and features."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
import ray
import torch
from PIL import Image

from styleid_ray.errors import RowError
from styleid_ray.evaluation.folders import FolderResults
from styleid_ray.evaluation.meter import PAIR_METRICS, Meter
from styleid_ray.evaluation.pictures import Result, check_measurable
from styleid_ray.evaluation.run_results import RunResults

T = TypeVar("T")
Results = FolderResults | RunResults
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
"""One row per result, without features if result or style cannot be read. `trouble` names the
picture that cannot be read, as "ROLE: REASON"."""
STYLES = pa.schema([("times", pa.int64()), ("trouble", pa.string()), ("features", FEATURES)])
_READERS = 4


class Measure:
    """Units of results, or styles, to rows of `PAIRS` or `STYLES`. An actor of Ray Data.

    Args:
        results: the pictures.
        weights: reference to the networks' tensors.
        device: "cuda" or "cpu".
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
        """Features of styles, given by key, place, and number of times each counts."""
        pictures = [self._source("style", key, place) for key, place, _ in unit]
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
        rows, whole = [], []
        for result, sources in group:
            pictures = {"result": result.picture, **sources}
            lost = [f"{role}: {p}" for role, p in pictures.items() if isinstance(p, RowError)]
            row: dict[str, Any] = {
                "pair_id": result.pair_id,
                "content": result.content,
                "style": result.style,
                "style_place": result.places.get("style"),
                "trouble": lost[0] if lost else None,
            }
            if not isinstance(result.picture, RowError):
                content, style = (
                    None if isinstance(picture := sources[role], RowError) else (key, picture)
                    for role, key in (("content", result.content), ("style", result.style))
                )
                row |= self.meter.pair(result.picture, content, style)
                if style:
                    whole.append((row, result.picture))
            rows.append(row)
        features = self.meter.features([picture for _, picture in whole])
        for (row, _), values in zip(whole, features, strict=True):
            row["features"] = values
        return pa.Table.from_pylist(rows, schema=PAIRS)

    def _with_sources(self, group: list[Result], pool: ThreadPoolExecutor) -> list[_Loaded]:
        """The results with their sources; each source is read once."""
        wanted = {
            (role, getattr(result, role)): result.places.get(role)
            for result in group
            for role in ("content", "style")
        }
        roles, keys = zip(*wanted, strict=True)
        pictures = pool.map(self._source, roles, keys, wanted.values())
        read = dict(zip(wanted, pictures, strict=True))
        return [
            _checked(result, read["content", result.content], read["style", result.style])
            for result in group
        ]

    def _source(self, role: str, key: str, place: str | None) -> Image.Image | RowError:
        try:
            picture = self.results.source(role, key, place)
            check_measurable(picture)
        except RowError as e:
            return e
        return picture


_Loaded = tuple[Result, Mapping[str, Image.Image | RowError]]


def _checked(
    result: Result, content: Image.Image | RowError, style: Image.Image | RowError
) -> _Loaded:
    """A result with its sources; an error replaces a picture that cannot be compared."""
    picture = result.picture
    if not isinstance(picture, RowError):
        try:
            check_measurable(picture)
        except RowError as e:
            return replace(result, picture=e), {"content": content, "style": style}
        if not isinstance(content, RowError) and content.size != picture.size:
            content = RowError(
                "decode",
                f"{result.content} has {content.width} x {content.height} pixels, and a result of "
                f"it {picture.width} x {picture.height}: bring both to one size",
            )
    return result, {"content": content, "style": style}


def _one_ahead(items: Iterator[T], pool: ThreadPoolExecutor) -> Iterator[T]:
    """The items; the next one is made while the current one is used."""
    end = object()
    take: Callable[[], Any] = lambda: next(items, end)  # noqa: E731
    coming = pool.submit(take)
    while (item := coming.result()) is not end:
        coming = pool.submit(take)
        yield item
