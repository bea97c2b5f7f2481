"""Handing a job to the job server of a Ray cluster and following it to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, JobError

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""Where a job server is seen through `ray dashboard` or `kubectl port-forward`."""

_ADDRESS, _OTHER_ADDRESS = "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"
# A driver that is asked to stop has so long to end in good order; Ray itself gives it 3 seconds.
_ENVIRONMENT = {"RAY_JOB_STOP_WAIT_TIME_S": "30"}
_FAILURES = (OSError, RuntimeError, ValueError, RayError, requests.RequestException)


def stylize_command(
    config: JobConfig, file: str | None, options: Mapping[str, Any], working_dir: str
) -> list[str]:
    """The command line of `stylize` on the cluster.

    Args:
        config: what the options come to, checked.
        file: path or URL of the job file; a path comes out relative to `working_dir`.
        options: what was given beside the job file, by name.
        working_dir: the folder that is sent to the cluster.

    Raises:
        ConfigError: the job file is not sent along, or the output would lie in the job's own
            folder on the cluster, which is removed at its end.
    """
    output = config.output
    if "://" not in output and not Path(output).is_absolute():
        raise ConfigError(
            f"--output {output} is relative: on a cluster it would be lost with the job's folder; "
            "give a URL, or a full path on a disk that all nodes share"
        )
    command = ["python", "-m", "styleid_ray.cli", "stylize"]
    if file is not None:
        command.append(f"--config={_on_cluster(file, working_dir)}")
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            command.append(f"--{option}" if value else f"--no-{option}")
        else:
            command.append(f"--{option}={value}")
    return command


def script_command(script: Sequence[str], working_dir: str) -> list[str]:
    """The command line of a Python script of `working_dir`, with its arguments.

    Raises ConfigError when there is no such script.
    """
    if "://" not in working_dir and not Path(working_dir, script[0]).is_file():
        raise ConfigError(f"{script[0]} is no file of --working-dir {working_dir}: check the path")
    return ["python", *script]


def submit(
    command: Sequence[str], address: str | None = None, working_dir: str = ".", wait: bool = True
) -> int:
    """Has a cluster run a command; what it prints comes out on standard output.

    An interrupt (Ctrl-C, SIGTERM) asks the job to stop, waits for its end and is raised again; a
    second one leaves the job to itself.

    Args:
        command: program and arguments, run in a copy of `working_dir` on the head node.
        address: URL of the job server; by default RAY_API_SERVER_ADDRESS, else `DEFAULT_ADDRESS`.
        working_dir: folder whose files are sent, but for what its .gitignore files name; or the
            URL of a zip file.
        wait: follow the job to its end.

    Returns:
        The exit status of the command; 143 when somebody else stopped the job; 0 at once without
        `wait`.

    Raises:
        ConfigError: the address or the folder cannot be right.
        JobError: the job server cannot be used, or the job was lost.
    """
    client = _client(address)
    if "://" not in working_dir and not Path(working_dir).is_dir():
        raise ConfigError(f"--working-dir {working_dir} is no folder: check the path")
    try:
        job = client.submit_job(
            entrypoint=shlex.join(command),
            runtime_env={"working_dir": working_dir, "env_vars": _ENVIRONMENT},
        )
    except _FAILURES as e:
        raise JobError(
            f"{client.get_address()} does not take the job: {_first_line(e)}; of --working-dir "
            f"{working_dir} all is sent that no .gitignore names"
        ) from e
    print(f"job {job} at {client.get_address()}", file=sys.stderr)
    if not wait:
        print(f"follow it with: ray job logs --follow {job}", file=sys.stderr)
        return 0
    log = _Log(client, job)
    try:
        log.follow()
    except KeyboardInterrupt:
        print("stopping the job; once more leaves it running", file=sys.stderr)
        log.stop()
        raise
    return _exit_status(client, job)


class _Log:
    """What a job prints, passed on to standard output once."""

    def __init__(self, client: JobSubmissionClient, job: str) -> None:
        self.client, self.job, self.shown = client, job, 0

    def follow(self) -> None:
        """Passes on until the job has ended."""
        try:
            while not self.client.get_job_status(self.job).is_terminal():
                asyncio.run(self._pass_on())
            self._show(self.client.get_job_logs(self.job)[self.shown :])
        except _FAILURES as e:
            raise JobError(
                f"the job server does not answer any more ({_first_line(e)}); the job may go on: "
                f"see ray job status {self.job}"
            ) from e

    def stop(self) -> None:
        """Asks the job to stop and passes on to its end."""
        try:
            self.client.stop_job(self.job)
        except _FAILURES as e:
            raise JobError(
                f"the job could not be stopped ({_first_line(e)}): try ray job stop {self.job}"
            ) from e
        self.follow()

    async def _pass_on(self) -> None:
        known = self.shown  # each connection begins with the first line again
        async for text in self.client.tail_job_logs(self.job):
            self._show(text[known:])
            known = max(0, known - len(text))

    def _show(self, text: str) -> None:
        print(text, end="", flush=True)
        self.shown += len(text)


def _client(address: str | None) -> JobSubmissionClient:
    """A connection to the job server; raises ConfigError or JobError with what to change."""
    if address is None:
        address = os.environ.get(_ADDRESS) or os.environ.get(_OTHER_ADDRESS) or DEFAULT_ADDRESS
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address} is not that of a job server, which is the dashboard's, such as "
            f"{DEFAULT_ADDRESS}"
        )
    os.environ[_ADDRESS] = address  # Ray takes what stands here before what it is given
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(address)
    except RayError as e:  # its authentication
        raise JobError(
            f"the job server at {address} wants another token ({_first_line(e)}): set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with it"
        ) from e
    except _FAILURES as e:
        raise JobError(
            f"no job server at {address} ({_first_line(e)}): check --address and "
            f"{_ADDRESS}, and that the port is forwarded (ray dashboard, kubectl port-forward)"
        ) from e


def _exit_status(client: JobSubmissionClient, job: str) -> int:
    info = client.get_job_info(job)
    if info.status == JobStatus.SUCCEEDED:
        return 0
    if info.status == JobStatus.STOPPED:
        print("the job was stopped; the same command goes on", file=sys.stderr)
        return 128 + signal.SIGTERM
    if info.driver_exit_code is None:
        said = " ".join((info.message or "no reason given").split())
        raise JobError(f"the job was lost: {said}")
    return info.driver_exit_code


def _on_cluster(file: str, working_dir: str) -> str:
    if "://" in file or "://" in working_dir:
        return file
    try:
        return Path(file).resolve().relative_to(Path(working_dir).resolve()).as_posix()
    except ValueError:
        raise ConfigError(
            f"--config {file} lies outside of --working-dir {working_dir} and is not sent: put it "
            "there, or give a URL"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
