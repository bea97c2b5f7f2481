"""The pairs that failed and were not done since, with their reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output
from styleid_ray.report.public import public_location, public_message

MOST = 200
"""The most failures that the page lists one by one."""


@dataclass(frozen=True)
class Failure:
    """One failed pair, in words that may be shown."""

    content: str
    style: str
    stage: str
    error: str
    message: str


_COLUMNS = ["pair_id", *Failure.__annotations__]


@dataclass(frozen=True)
class Failures:
    """The failures of a run."""

    count: int
    listed: list[Failure]
    """The first `MOST` of them."""
    reasons: list[tuple[str, str, int]]
    """(stage, error, how many), most frequent first."""


def read_failures(output: Output) -> Failures:
    """The failures of a run, shard by shard."""
    files = output.files("errors")
    done = output.pair_ids("data") if files else np.empty(0, "S32")
    seen: set[bytes] = set()
    reasons: Counter[tuple[str, str]] = Counter()
    listed: list[Failure] = []
    for name in files:
        rows = output.parsed(name, lambda f: pq.read_table(f).select(_COLUMNS).to_pylist())
        ids = np.array([row["pair_id"] for row in rows], "S32")
        for row, pair, was_done in zip(rows, ids.tolist(), np.isin(ids, done), strict=True):
            if was_done or pair in seen:
                continue
            seen.add(pair)
            said = {name: str(row[name] or "") for name in Failure.__annotations__}
            reasons[said["stage"], said["error"]] += 1
            if len(listed) < MOST:
                listed.append(_public(said))
    most = [(stage, error, count) for (stage, error), count in reasons.most_common()]
    return Failures(len(seen), listed, most)


def _public(said: dict[str, str]) -> Failure:
    content, style = said["content"], said["style"]
    return Failure(
        content=public_location(content),
        style=public_location(style),
        stage=said["stage"],
        error=said["error"],
        message=public_message(said["message"], content, style),
    )
