"""Pairs that failed: when they are too many, and the files that list them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.naming import labelled, others
from styleid_ray.batch.folder.output import Output, as_ids
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import JobError

_ENOUGH = 100
"""Pairs finished before a percentage says anything."""


def check_failures(limit: str | None, progress: Progress, output: Output) -> None:
    """Stops a job that goes wrong while there is something left to do.

    Raises:
        JobError: more pairs failed than `--max-failures` allows.
    """
    if limit is None or not progress.left or not _exceeds(limit, progress):
        return
    raise JobError(
        f"stopped: {progress.failed} of {progress.done + progress.failed} finished pairs failed, "
        f"more than --max-failures {limit}; most often {_commonest(output)}, see "
        f"{output.url}/errors; what is done stays: the same command with a higher --max-failures "
        "goes on, and styleid-ray retry does what failed again"
    )


def _exceeds(limit: str, progress: Progress) -> bool:
    if not limit.endswith("%"):
        return progress.failed > int(limit)
    finished = progress.done + progress.failed
    return finished >= _ENOUGH and 100 * progress.failed > float(limit[:-1]) * finished


def _commonest(output: Output) -> str:
    reasons, examples = Counter[str](), dict[str, str]()
    for name in output.files("errors"):
        for row in output.read_table(name, ["stage", "error", "message"]).to_pylist():
            reason = f"{row['error']} at {row['stage']}"
            reasons[reason] += 1
            examples.setdefault(reason, row["message"])
    return " ".join(f"{reason} ({n}: {examples[reason]})" for reason, n in reasons.most_common(1))


def tidy_errors(output: Output) -> None:
    """Leaves one row of each failed pair in `errors/`, and none of a pair that was done since.

    Of two rows, that of the later attempt stays: it was made together with fewer others. A row is
    gone only when another place tells of its pair, so a tidying cut off loses nothing.
    """
    found: list[tuple[str, pa.Table]] = []
    for name in output.files("errors"):
        with suppress(FileNotFoundError):  # another command tidies too
            found.append((name, output.read_table(name)))
    if not found:
        return
    told = output.pair_ids("data")
    for name, table in sorted(found, key=lambda one: _attempted(one[1])):
        ids = as_ids(table.column("pair_id"))
        kept = ~np.isin(ids, told)
        told = np.union1d(told, ids)
        if not kept.any():
            output.delete(name)
        elif not kept.all():
            gone = [i.decode() for i in ids[~kept].tolist()]
            left = labelled(table.filter(pa.array(kept)), [*others(table.schema), *gone])
            output.write_table(name, left)


def _attempted(table: pa.Table) -> int:
    return table.num_rows + len(others(table.schema))
