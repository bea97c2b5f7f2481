"""Submits `stylize` to the job server of a Ray cluster and follows it to its end."""

import asyncio
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from styleid_ray.config import JobConfig
from styleid_ray.deadline import is_duration, parse_deadline
from styleid_ray.errors import ConfigError, JobError, first_line

_SERVER, _CLUSTER = "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"
# The job server's address with `ray dashboard` and `kubectl port-forward`.
_DEFAULT = "http://127.0.0.1:8265"
# Seconds for a driver to stop cleanly; Ray's own default is 3.
_ENVIRONMENT = {"RAY_JOB_STOP_WAIT_TIME_S": "30"}


def stylize_command(
    config: JobConfig, file: str | None, options: Mapping[str, Any], working_dir: str
) -> list[str]:
    """The command line of `stylize` on the cluster.

    `options` are those given besides the job file; `config` combines both. Raises ConfigError when
    the job file would not be sent, or when the output would lie in the job's own folder on the
    cluster, which is removed at its end.
    """
    if "://" not in config.output and not Path(config.output).is_absolute():
        raise ConfigError(
            f"--output {config.output} is relative: on a cluster it would be lost with the job's "
            "folder; give a URL, or a full path on a disk that all nodes share"
        )
    command = ["python", "-m", "styleid_ray.cli", "stylize"]
    if file and "://" not in file and "://" not in working_dir:
        path, folder = Path(file).resolve(), Path(working_dir).resolve()
        if not path.is_relative_to(folder):
            raise ConfigError(
                f"--config {file} lies outside of --working-dir {working_dir} and is not sent: put "
                "it there, or give a URL"
            )
        file = path.relative_to(folder).as_posix()
    if file:
        command.append(f"--config={file}")
    if config.deadline and not is_duration(config.deadline):  # the cluster may be in another zone
        deadline = parse_deadline(config.deadline, datetime.now().astimezone())
        options = {**options, "deadline": deadline.isoformat()}
    for name, value in options.items():
        option, flag = name.replace("_", "-"), isinstance(value, bool)
        command.append(f"--{option}={value}" if not flag else f"--{'' if value else 'no-'}{option}")
    return command


def submit(command: Sequence[str], address: str | None, working_dir: str, wait: bool) -> int:
    """Runs a command on the cluster's head, in a copy of `working_dir`, and prints its output.

    Ctrl-C or SIGTERM stops the job, waits for its end and is raised again; a second one leaves the
    job running. Returns the exit status of the command, or 143 if somebody else stopped it; without
    `wait`, 0 at once. Raises JobError when the job server cannot be used, or the job was lost.
    """
    address = address or os.environ.get(_SERVER) or os.environ.get(_CLUSTER) or _DEFAULT
    client = _client(address)
    sent = f"everything in --working-dir {working_dir} that no .gitignore names is sent"
    with _server_errors(f"{address} does not accept the job", sent):
        job = client.submit_job(
            entrypoint=shlex.join(command),
            runtime_env={"working_dir": working_dir, "env_vars": _ENVIRONMENT},
        )
    print(f"job {job} at {address}", file=sys.stderr)
    if not wait:
        print(f"follow it with: ray job logs --follow {job}", file=sys.stderr)
        return 0
    log = _Log(client, job)
    lost = f"the job may still run: see ray job status {job}"
    with _server_errors("the job server no longer answers", lost):
        try:
            log.follow()
        except KeyboardInterrupt:
            print("stopping the job; press Ctrl-C again to leave it running", file=sys.stderr)
            client.stop_job(job)
            log.follow()
            raise
        info = client.get_job_info(job)
    if info.status == JobStatus.STOPPED:
        print("the job was stopped; run the same command again to resume", file=sys.stderr)
        return 128 + signal.SIGTERM
    if info.driver_exit_code is None:
        raise JobError(f"the job was lost: {' '.join((info.message or 'no reason given').split())}")
    return info.driver_exit_code


class _Log:
    """The output of a job, printed once."""

    def __init__(self, client: JobSubmissionClient, job: str) -> None:
        self.client, self.job, self.shown = client, job, 0

    def follow(self) -> None:
        """Prints until the job has ended."""
        while not self.client.get_job_status(self.job).is_terminal():
            asyncio.run(self._tail())
        self._print(self.client.get_job_logs(self.job)[self.shown :])

    async def _tail(self) -> None:
        known = self.shown  # each connection begins with the first line again
        async for text in self.client.tail_job_logs(self.job):
            self._print(text[known:])
            known = max(0, known - len(text))

    def _print(self, text: str) -> None:
        print(text, end="", flush=True)
        self.shown += len(text)


def _client(address: str) -> JobSubmissionClient:
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address} is not a job server: give the address of the dashboard, such as "
            f"{_DEFAULT}"
        )
    os.environ[_SERVER] = address  # Ray prefers it to its argument
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ports = f"check --address and {_SERVER}, and that the port is forwarded (ray dashboard, kubectl"
    with _server_errors(f"no job server at {address}", f"{ports} port-forward)"):
        return JobSubmissionClient(address)


@contextmanager
def _server_errors(what: str, remedy: str) -> Iterator[None]:
    """Turns errors of the job server in the block into one line."""
    try:
        yield
    except JobError:
        raise
    except RayError as e:  # its authentication
        raise JobError(
            f"{what}: it refuses the token ({first_line(e)}): set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with it"
        ) from e
    except (OSError, RuntimeError, ValueError, requests.RequestException) as e:
        raise JobError(f"{what} ({first_line(e)}): {remedy}") from e
