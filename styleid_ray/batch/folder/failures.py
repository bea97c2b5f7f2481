"""Failed pairs, from the files that list them: which, why, and when they are too many."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.output import Output, as_ids, data_file, errors_file, read_each, stem
from styleid_ray.batch.watch.progress import Progress, counted
from styleid_ray.errors import JobError, RowError

_ENOUGH = 100
"""Finished pairs from which on a percentage is meaningful."""
_MOST_REASONS = 5


@dataclass
class Failures:
    """Failed pairs of finished shards: in `errors/` and not in `data/`."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    """Ids of pairs by shard."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Numbers of pairs by stage and error."""
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    """One message for each stage and error."""

    @property
    def count(self) -> int:
        """Number of failed pairs."""
        return self.reasons.total()

    def top(self) -> list[dict[str, Any]]:
        """The most common reasons: stage, error, pairs, and an example's message."""
        return [
            {"stage": stage, "error": error, "pairs": n, "example": self.examples[stage, error]}
            for (stage, error), n in self.reasons.most_common(_MOST_REASONS)
        ]

    def lines(self) -> list[str]:
        """The same, one line each."""
        return lines_of(self.top())

    def add(self, shard: str, table: pa.Table) -> None:
        """Adds failed pairs of a shard."""
        self.ids[shard] = table["pair_id"].to_pylist()
        for row in table.select(["stage", "error", "message"]).to_pylist():
            reason = row["stage"], row["error"]
            self.reasons[reason] += 1
            self.examples.setdefault(reason, row["message"])


def lines_of(reasons: list[dict[str, Any]]) -> list[str]:
    """Reasons from `Failures.top`, one line each."""
    return [
        f"{counted(r['pairs'], 'pair')}: {r['stage']} failed"
        f"{'' if r['error'] == RowError.__name__ else ' (' + r['error'] + ')'}, "
        f"{'for example ' * (r['pairs'] > 1)}{r['example']}"
        for r in reasons
    ]


def retry_command(url: str) -> str:
    """The command that makes the failed pairs of a run again."""
    return f"styleid-ray retry {url}"


def read_failures(output: Output, finished: Collection[str]) -> Failures:
    """The failures in finished shards; raises as `failed_rows`."""
    shards = [shard for shard in map(stem, output.files("errors")) if shard in finished]
    failures = Failures()
    for shard, table in read_each(lambda shard: failed_rows(output, shard), shards):
        if table.num_rows:
            failures.add(shard, table)
    return failures


def failed_rows(output: Output, shard: str, columns: list[str] | None = None) -> pa.Table:
    """Rows of `errors/` for a finished shard's pairs that are not in `data/`. Raises OutputError
    for a file that is damaged or cannot be read."""
    columns = columns or ["pair_id", "stage", "error", "message"]
    failed = output.shard_rows(errors_file(shard), columns)
    done = output.shard_rows(data_file(shard), ["pair_id"])
    if failed is None or done is None:
        return pa.table({column: pa.array([], pa.string()) for column in columns})
    return failed.filter(pa.array(~np.isin(as_ids(failed["pair_id"]), as_ids(done["pair_id"]))))


def check_failures(limit: str | None, progress: Progress, output: Output) -> None:
    """Raises JobError if more pairs failed than `--max-failures` allows and some are left."""
    if limit is None or not progress.left or not _exceeds(limit, progress):
        return
    reasons = read_failures(output, output.finished()).lines()
    raise JobError(
        f"stopped: {progress.failed} of {progress.done + progress.failed} finished pairs failed, "
        f"more than --max-failures {limit}; most often {' '.join(reasons[:1])}; see "
        f"{output.url}/errors; finished pairs stay: run the same command with a higher "
        f"--max-failures to resume, and styleid-ray retry to try the failed ones again"
    )


def _exceeds(limit: str, progress: Progress) -> bool:
    if not limit.endswith("%"):
        return progress.failed > int(limit)
    finished = progress.done + progress.failed
    return finished >= _ENOUGH and 100 * progress.failed > float(limit[:-1]) * finished
