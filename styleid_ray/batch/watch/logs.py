"""Structured logs: JSON lines on each stage's work per shard, kept by Ray's workers."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import ray.job_config
from ray import LoggingConfig

from styleid_ray.batch.folder.output import run_name
from styleid_ray.batch.stages.shard import Done, Shard
from styleid_ray.config import JobConfig
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import scrubbed

_PACKAGE = "styleid_ray"
_log = logging.getLogger(__name__)
Worked = TypeVar("Worked", Shard, Done)


@dataclass
class WorkerLogging(LoggingConfig):
    """Logging of a job's workers: JSON lines on standard error, which Ray keeps in a file per
    worker. The package logs its work; libraries log warnings alone, since some log the signed URLs
    that they fetch.
    """

    encoding: str = "JSON"

    def _apply(self) -> None:  # Ray calls it in each worker
        super()._apply()
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger(_PACKAGE).setLevel(self.log_level)


def ray_job() -> ray.job_config.JobConfig:
    """The driver's job config for Ray: its workers log by `WorkerLogging`, and its own logging is
    unchanged."""
    job = ray.job_config.JobConfig()
    job.set_py_logging_config(WorkerLogging())
    return job


class StageLog:
    """Log lines of one stage on the shards of a run, each with `run`, `stage`, `shard`, `pairs`.

    On a Ray that the caller has connected to, the caller's logging handles them.
    """

    def __init__(self, stage: str, config: JobConfig) -> None:
        self.stage = stage
        self.run = run_name(config.output)
        self.storage_options = config.storage_options

    def of(self, work: Callable[[Shard], Worked]) -> Callable[[Shard], Worked]:
        """`work` with a log line at its end: seconds and measures of a finished shard, or the
        reason of an unfinished one."""

        def logged(shard: Shard) -> Worked:
            began, pairs = time.perf_counter(), shard.pairs.num_rows
            try:
                done = work(shard)
            except Exception as e:
                message = (str(e).strip().splitlines() or ["no reason given"])[0]
                self._write(logging.ERROR, message, shard.name, pairs=pairs, error=type(e).__name__)
                raise
            facts = {name: v for name, v in done.measures.items() if name not in shard.measures}
            facts["seconds"] = round(time.perf_counter() - began, 3)
            self._write(logging.INFO, "done", shard.name, pairs=pairs, **facts)
            return done

        return logged

    def failures(self, shard: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Logs one line per reason of failed pairs: `stage`, `error` and `message` of rows."""
        reasons = Counter((row["stage"], row["error"], row["message"]) for row in rows)
        for (stage, error, message), pairs in reasons.items():
            self._write(logging.WARNING, message, shard, failed_in=stage, error=error, pairs=pairs)

    def _write(self, level: int, message: str, shard: str, **facts: Any) -> None:
        message = scrubbed(shown(message), self.storage_options)
        where = {"run": self.run, "stage": self.stage, "shard": shard}
        _log.log(level, "%s", message, extra=where | facts)
