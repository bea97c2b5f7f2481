"""The failed pairs of a run as the page lists them."""

from itertools import islice
from typing import Any

from styleid_ray.batch.folder.failures import Failures, failed_rows
from styleid_ray.batch.folder.output import Output
from styleid_ray.report.public import public_location, public_message

MOST = 200
"""The most failures that the page lists one by one."""
_COLUMNS = ["content", "style", "stage", "error", "message"]


def listed_failures(output: Output, failures: Failures) -> list[dict[str, str]]:
    """Content, style, stage, error and message of the first `MOST` failed pairs, without
    secrets."""
    rows = (
        row
        for shard in failures.ids
        for row in failed_rows(output, shard, ["pair_id", *_COLUMNS]).to_pylist()
    )
    return [_public(row) for row in islice(rows, MOST)]


def _public(row: dict[str, Any]) -> dict[str, str]:
    content, style, stage, error, message = (str(row[name] or "") for name in _COLUMNS)
    return {
        "content": public_location(content),
        "style": public_location(style),
        "stage": stage,
        "error": error,
        "message": public_message(message, content, style),
    }
