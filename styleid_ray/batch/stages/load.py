"""The load stage (CPU): fetch a shard's pictures, decode them, resize them to working size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from styleid_ray.batch.cluster.resources import cores
from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.isolated import Isolated, ProcessDiedError
from styleid_ray.batch.stages.mask import OPTIONS, STRENGTH, check_sizes, masks_of, with_remedy
from styleid_ray.batch.stages.picture import Kind, memory_needed, prepared
from styleid_ray.batch.stages.recipe import Recipes
from styleid_ray.batch.stages.shard import PICTURES, Shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.config import JobConfig
from styleid_ray.datasets.fetch import fetch_pictures, read_together
from styleid_ray.datasets.masks import mask_name
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.planning.mask_names import named_masks
from styleid_ray.planning.shards import most_pictures
from styleid_ray.storage.fetch import Fetched

_FETCHERS, _DECODERS = 8, 4
_DECODING = 512 * 2**20
"""Bytes that the decoders of a shard share; a picture that takes more is decoded alone."""
_PROCESSES = 256 * 2**20
"""Bytes of a worker, its children and a few encoded pictures."""
_PATIENCE = 900.0
"""Seconds for decoding one picture."""
_FRAMES = (
    "some pictures are animated or have several pages: their first frame is used, and summary.json "
    "counts them (sources_with_frames)"
)


def load_memory(config: JobConfig) -> int:
    """Bytes that loading one shard takes, to be declared as the `memory` of the load tasks."""
    channels = 3 + len(masks_of(config))
    payload = most_pictures(config.working_size) * channels * config.working_size**2
    return _PROCESSES + _DECODING + 2 * payload


@dataclass(frozen=True)
class _Wanted:
    role: str
    key: str
    version: str | None
    place: str | None
    mask: str | None = None
    """Name of a mask, if a table gives it."""

    @property
    def file(self) -> str:
        return self.mask or mask_name(self.key) if self.role in OPTIONS else self.key

    @property
    def name(self) -> str:
        return f"{self.role.replace('_', ' ')} {self.file}"


class Load:
    """Shards to shards with pictures. A picture that fails becomes a row with its reason.

    Decoders are native code, which damaged files can crash or keep busy forever: they run in child
    processes, and a picture whose process dies or takes too long has failed.

    Args:
        contents, styles: locations of the plan's keys.
        config: the job.
        factor: the working sides are multiples of it.
    """

    def __init__(self, contents: Source, styles: Source, config: JobConfig, factor: int) -> None:
        masks = masks_of(config)
        self.sources = {"content": contents.place, "style": styles.place}
        self.sources |= {role: mask.source for role, mask in masks.items()}
        self.kinds = {role: mask.kind for role, mask in masks.items()}
        self.recipes = Recipes.of(config)
        self.config = config
        self.factor = factor
        self.patience = _PATIENCE
        self.log = StageLog("load", config)

    def load(self, shard: Shard) -> Shard:
        """The shard with each of its pictures once."""
        began = time.perf_counter()
        wanted = self._wanted(shard.pairs)
        names = [entry.name for entry in wanted]
        rows = check_sizes(self._read(wanted), names)
        measures = {"load_seconds": time.perf_counter() - began}
        measures["bytes_in"] = sum(row.pop("bytes", 0) for row in rows)
        changed = [name for name, row in zip(names, rows, strict=True) if row.pop("changed", 0)]
        notes = shard.notes
        if frames := sum(row.pop("frames", False) for row in rows):
            measures["sources_with_frames"] = frames
            notes += (_FRAMES,)
        if changed:
            measures["changed_sources"] = len(changed)
            notes += (f"{row_error.short(changed[0])} has changed since it was planned",)
        return replace(shard, pictures=_table(rows), notes=notes).measured(**measures)

    def _wanted(self, pairs: pa.Table) -> list[_Wanted]:
        """The distinct pictures of pairs, contents first."""
        contents = {entry.key: entry for entry in _in_column(pairs, "content", "content")}
        styles = {
            entry.key: entry
            for column in self.recipes.style_columns(pairs.column_names)
            for entry in _in_column(pairs, "style", column)
        }
        named = {STRENGTH: named_masks(pairs)}
        masks = [
            _Wanted(role, key, None, None, named.get(role, {}).get(key))
            for role in self.kinds
            for key in contents
        ]
        return [*contents.values(), *styles.values(), *masks]

    def _read(self, wanted: list[_Wanted]) -> list[dict[str, Any]]:
        budget = ByteBudget(_DECODING)
        decoders = min(_DECODERS, len(wanted), cores())
        with (
            Isolated(decoders, self.patience) as isolated,
            ThreadPoolExecutor(min(_FETCHERS, len(wanted))) as fetchers,
        ):
            groups = [
                [of_role[i] for i in indices]
                for role in self.sources
                for of_role in [[entry for entry in wanted if entry.role == role]]
                for indices in read_together([(entry.file, entry.place) for entry in of_role])
            ]
            rows = fetchers.map(lambda group: self._pictures(group, isolated, budget), groups)
            by_name = {(row["role"], row["key"]): row for group in rows for row in group}
            return [by_name[entry.role, entry.key] for entry in wanted]

    def _pictures(
        self, wanted: list[_Wanted], isolated: Isolated, budget: ByteBudget
    ) -> list[dict[str, Any]]:
        """Rows of `PICTURES`, of pictures that are best read together."""
        files = fetch_pictures(
            self.sources[wanted[0].role],
            [(entry.file, entry.place) for entry in wanted],
            self.config.max_bytes,
        )
        return [self._picture(wanted[index], file, isolated, budget) for index, file in files]

    def _picture(
        self, wanted: _Wanted, file: Fetched | RowError, isolated: Isolated, budget: ByteBudget
    ) -> dict[str, Any]:
        """One row of `PICTURES`, its pixels as an Arrow array of one, with the `bytes` read and
        whether the picture has `changed` and has more `frames`."""
        row: dict[str, Any] = {"role": wanted.role, "key": wanted.key, "changed": False}
        config = self.config
        try:
            if isinstance(file, RowError):
                raise with_remedy(file, wanted.role) if wanted.role in OPTIONS else file
            row["bytes"] = len(file.data)
            row["changed"] = bool(wanted.version and file.version not in ("", wanted.version))
            with budget.taking(isolated(memory_needed, file.data, config.max_pixels)):
                size = config.style_size if wanted.role == "style" else config.working_size
                how = (config.max_pixels, size, config.fit, self.factor)
                kind = self.kinds.get(wanted.role, Kind())
                row |= isolated(prepared, file.data, *how, wanted.name, kind)
        except RowError as e:
            return row | row_error.columns(e, wanted.name)
        except ProcessDiedError as e:
            error = RowError("decode", f"reading it {e}")
            error.__cause__ = e
            return row | row_error.columns(error, wanted.name)
        if "pixels" in row:
            row["pixels"] = pa.array([row["pixels"]], pa.binary())
        return row


class ByteBudget:
    """At most `total` bytes are taken at a time; a caller that asks for more takes all, alone."""

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._change = threading.Condition()

    @contextmanager
    def taking(self, count: int) -> Iterator[None]:
        """Waits until `count` bytes are free, and takes them for the block."""
        count = min(count, self.total)
        with self._change:
            self._change.wait_for(lambda: self.free >= count)
            self.free -= count
        try:
            yield
        finally:
            with self._change:
                self.free += count
                self._change.notify_all()


def _in_column(pairs: pa.Table, role: str, column: str) -> Iterator[_Wanted]:
    keys = pairs[column].to_pylist()
    columns = (
        pairs[name].to_pylist() if name in pairs.column_names else [None] * len(keys)
        for name in (f"{column}_version", f"{column}_place")
    )
    for key, version, place in zip(keys, *columns, strict=True):
        if key is not None:
            yield _Wanted(role, key, version, place)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of `PICTURES`; the pixels, which are nearly all of it, are not copied."""
    none = pa.nulls(1, pa.binary())
    pixels = pa.chunked_array([row.pop("pixels", none) for row in rows], pa.binary())
    at = PICTURES.get_field_index("pixels")
    return pa.Table.from_pylist(rows, PICTURES.remove(at)).add_column(at, "pixels", pixels)
