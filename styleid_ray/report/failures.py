"""The failed pairs of a run that no retry has done, with their reasons."""

from collections import Counter
from dataclasses import dataclass, field

from styleid_ray.batch.folder.failures import failed_rows
from styleid_ray.batch.folder.output import Output, stem
from styleid_ray.report.public import public_location, public_message

MOST = 200
"""The most failures that the page lists one by one."""
_COLUMNS = ["pair_id", "content", "style", "stage", "error", "message"]


@dataclass
class Failures:
    """The failures of a run."""

    count: int = 0
    listed: list[dict[str, str]] = field(default_factory=list)
    """The first `MOST`: content, style, stage, error and message of each, without secrets."""
    reasons: list[tuple[str, str, int]] = field(default_factory=list)
    """(stage, error, number of pairs), most frequent first."""


def read_failures(output: Output) -> Failures:
    """The failures of a run, shard by shard."""
    finished, failures = output.finished(), Failures()
    reasons: Counter[tuple[str, str]] = Counter()
    for shard in map(stem, output.files("errors")):
        if shard not in finished:
            continue
        for row in failed_rows(output, shard, _COLUMNS).to_pylist():
            failure = {name: str(row[name] or "") for name in _COLUMNS[1:]}
            failures.count += 1
            reasons[failure["stage"], failure["error"]] += 1
            if len(failures.listed) < MOST:
                sources = {role: failure[role] for role in ("content", "style")}
                message = public_message(failure["message"], *sources.values())
                public = {role: public_location(key) for role, key in sources.items()}
                failures.listed.append(failure | public | {"message": message})
    failures.reasons = [(*reason, pairs) for reason, pairs in reasons.most_common()]
    return failures
