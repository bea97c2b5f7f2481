"""The load stage (CPU): fetch the shard's pictures, decode them, bring them to working size."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import ray
from ray._private.worker import global_worker

from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.isolated import Isolated, ProcessDiedError
from styleid_ray.batch.stages.shard import PICTURES, Shard, each_shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.config import JobConfig
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, fit_picture
from styleid_ray.planning import Source, read_bytes

_FETCHERS = 8
_PATIENCE = 900.0
"""Seconds for one picture, longer than the requests for it are tried again."""
T = TypeVar("T")


class Load:
    """Shards to shards with pictures. A picture that fails becomes a row with its reason.

    Decoders are native code, which damaged files can crash, or keep busy for ever: then this
    process ends itself. Ray does the shard again, and the second time each picture is read in a
    child process: one that dies or takes too long is a failed picture too.

    Args:
        contents, styles: where the plan's keys lie.
        config: the job; working size and fit are taken from it.
        factor: what the working sides must be multiples of.
    """

    def __init__(self, contents: Source, styles: Source, config: JobConfig, factor: int) -> None:
        # Only the roots travel with the stage, not the listing.
        self.sources = {"content": replace(contents, keys=()), "style": replace(styles, keys=())}
        self.config = config
        self.factor = factor
        self.patience = _PATIENCE
        self.log = StageLog("load", config)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        return each_shard(block, self.log.of(self.load))

    def load(self, shard: Shard) -> Shard:
        """The shard with each of its pictures once."""
        began = time.perf_counter()
        wanted = [
            (role, key)
            for role in ("content", "style")
            for key in shard.pairs.column(role).unique().to_pylist()
        ]
        rows = self._read_isolated(wanted) if _is_retry() else self._read(wanted)
        pictures = pa.Table.from_pylist(rows, schema=PICTURES)
        read = sum(row.pop("bytes", 0) for row in rows)
        return replace(shard, pictures=pictures).measured(
            load_seconds=time.perf_counter() - began, bytes_in=read
        )

    def _read(self, wanted: list[tuple[str, str]]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(min(_FETCHERS, len(wanted))) as pool:
            return list(_watched(pool.map(lambda one: self._picture(*one), wanted), self.patience))

    def _read_isolated(self, wanted: list[tuple[str, str]]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        with Isolated(self._picture, self.patience) as picture:
            for role, key in wanted:
                try:
                    rows.append(picture(role, key))
                except ProcessDiedError as e:
                    error = RowError("decode", f"reading it {e}")
                    error.__cause__ = e
                    rows.append(
                        {"role": role, "key": key} | row_error.columns(error, f"{role} {key}")
                    )
        return rows

    def _picture(self, role: str, key: str) -> dict[str, Any]:
        row: dict[str, Any] = {"role": role, "key": key}
        try:
            data = read_bytes(self.sources[role].url(key), self.sources[role].storage_options)
            image = decode(data, self.config.max_pixels)
            fitted = fit_picture(image, self.config.size, self.config.fit, self.factor)
        except RowError as e:
            return row | row_error.columns(e, f"{role} {key}")
        return row | {
            "pixels": np.asarray(fitted).tobytes(),
            "width": fitted.width,
            "height": fitted.height,
            "source_width": image.width,
            "source_height": image.height,
            "bytes": len(data),
        }


def _watched(results: Iterable[T], seconds: float) -> Iterator[T]:
    """The results as they come; when one takes longer, the process ends, and its log says where it
    was. A thread of native code sees to it, whatever holds Python's lock."""
    try:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
        for result in results:
            faulthandler.dump_traceback_later(seconds, exit=True, file=2)
            yield result
    finally:
        faulthandler.cancel_dump_traceback_later()


def _is_retry() -> bool:
    """Whether Ray does this task again because the process of an earlier attempt died."""
    worker: Any = global_worker  # Ray tells a task's attempt nowhere else
    return ray.is_initialized() and worker.core_worker.get_current_task_attempt_number() > 0
