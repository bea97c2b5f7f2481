"""The pairs that failed and were not done since, with their reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from styleid_ray.batch.folder.failures import failed_rows
from styleid_ray.batch.folder.output import Output, stem
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
    finished, count = output.finished(), 0
    reasons: Counter[tuple[str, str]] = Counter()
    listed: list[Failure] = []
    for shard in map(stem, output.files("errors")):
        if shard not in finished:
            continue
        for row in failed_rows(output, shard, _COLUMNS).to_pylist():
            failure = {name: str(row[name] or "") for name in Failure.__annotations__}
            count += 1
            reasons[failure["stage"], failure["error"]] += 1
            if len(listed) < MOST:
                listed.append(_public(failure))
    most = [(stage, error, pairs) for (stage, error), pairs in reasons.most_common()]
    return Failures(count, listed, most)


def _public(failure: dict[str, str]) -> Failure:
    content, style = failure["content"], failure["style"]
    return Failure(
        content=public_location(content),
        style=public_location(style),
        stage=failure["stage"],
        error=failure["error"],
        message=public_message(failure["message"], content, style),
    )
