"""How a run reaches its files, and when it stops."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from styleid_ray.config.tags import Options, Tag, items
from styleid_ray.deadline import deadline_text

Tracker = Literal["wandb", "tensorboard", "mlflow"]


class RunOptions(Options):
    """How a run reaches its files, and when it gives up. Nothing here changes the pictures."""

    group = "run"

    storage_options: Annotated[dict[str, Any] | None, Tag("nothing", written="JSON")] = Field(
        default=None, repr=False, exclude=True
    )
    """JSON object that fsspec opens object stores with: key, secret, token, endpoint_url, anon ...
    For one protocol of several: {"s3": {...}, "https": {...}}. Never stored."""
    max_failures: Annotated[str | None, Tag("nothing", written="N|PERCENT%")] = None
    """Give up (exit status 2) when more pairs fail: a number, or a percentage of those finished
    so far, judged from the 100th on. A higher one resumes."""
    limit: Annotated[Annotated[int, Field(ge=1)] | None, Tag("nothing", usual=True)] = Field(
        default=None, exclude=True
    )
    """Stop after N pairs, rounded up to whole shards: a pilot run, whose speed `plan --rate RUN`
    uses. The same command without --limit makes the rest."""
    deadline: Annotated[str | None, Tag("nothing", usual=True, written="TIME|DURATION")] = Field(
        default=None, exclude=True
    )
    """Stop at a time (2026-12-01T06:00, local unless it names a zone) or after a duration (6h,
    90min, 1d12h). Shards in progress are left for the same command to resume."""
    max_gpu_hours: Annotated[
        Annotated[float, Field(gt=0)] | None, Tag("nothing", written="HOURS")
    ] = Field(default=None, exclude=True)
    """Stop when this command's actors have held their GPUs for HOURS hours in all. Shards in
    progress are left for the same command to resume."""
    log_to: Annotated[tuple[Tracker, ...], Tag("nothing", written="NAME,...")] = Field(
        default=(), exclude=True
    )
    """Comma-separated experiment trackers to log pairs, rates, failures and sample grids to:
    wandb, tensorboard, mlflow; each by its own package, as in pip install wandb."""
    log_samples: Annotated[int, Field(ge=0), Tag("nothing")] = Field(default=10, exclude=True)
    """Shards from one sample grid of --log-to to the next; 0 logs none."""

    @field_validator("storage_options", mode="before")
    @classmethod
    def _storage_options_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None if not value.strip() else value
        if value is not None and not isinstance(value, dict):
            raise ValueError('must be a JSON object such as {"anon": true}')
        return value

    @field_validator("deadline", mode="before")
    @classmethod
    def _deadline_is_a_time_or_duration(cls, value: Any) -> Any:
        return None if value is None else deadline_text(value)

    @field_validator("log_to", mode="before")
    @classmethod
    def _trackers_from_text(cls, value: Any) -> Any:
        return items(value)

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("max_failures")
    @classmethod
    def _max_failures_is_a_bound(cls, value: str | None) -> str | None:
        if value is None:
            return None
        number = re.fullmatch(r"\s*(\d+|\d+(?:\.\d+)?(?=\s*%))\s*(%?)\s*", value)
        if not number or (number[2] and float(number[1]) > 100):
            raise ValueError("must be a number of pairs such as 50, or a percentage such as 5%")
        return number[1] + number[2]
