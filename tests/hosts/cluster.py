"""A Ray cluster on hosts of a network of its own, with an object store, and jobs on it."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from tests.batch.conftest import pictures_of
from tests.hosts.network import Host, Network, wait_for

_PYTHON = Path(sys.executable)
_CLI = (_PYTHON, "-m", "styleid_ray.cli")
# A host that does not answer is given up within a quarter of a minute,
_SYSTEM = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 5,
}
# and so is what was asked of it.
_PATIENCE = {
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}
# Ray takes no smaller object store.
_RAY_START = ("ray", "start", "--block", "--object-store-memory=100000000")
_UPLOAD = """
import s3fs, sys
store = s3fs.S3FileSystem()
store.mkdir("bucket")
for name in ("content", "style"):
    store.put(f"{sys.argv[1]}/{name}", f"bucket/{name}", recursive=True)
"""
_DOWNLOAD = """
import s3fs, sys
s3fs.S3FileSystem().get(sys.argv[1], sys.argv[2], recursive=True)
"""


class Hosts:
    """A head, workers, an object store with `bucket`, and a host outside of them that submits jobs.

    Args:
        made: the network.
        sources: a folder with content/ and style/, which are put into the bucket.
        workers: how many hosts work at first.
    """

    def __init__(self, made: Network, sources: Path, workers: int) -> None:
        self._network = made
        self.store = made.add("store")
        self._keys = {
            "AWS_ENDPOINT_URL": f"http://{self.store.address}:9000",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._token = secrets.token_hex(32)
        server = (_PYTHON, "-m", "moto.server", "-H", self.store.address, "-p", "9000")
        self.store.start("store.log", *server)
        self.outside = self._add("outside")
        self.head = self._add("head")
        self.head.start(
            "ray.log",
            *(*_RAY_START, "--head", "--num-cpus=0", "--disable-usage-stats"),
            *(f"--node-ip-address={self.head.address}", f"--dashboard-host={self.head.address}"),
            *(f"--temp-dir={self.head.home}/ray", f"--system-config={json.dumps(_SYSTEM)}"),
        )
        _wait_for_ray(self.head)
        self.workers: list[Host] = []
        for _ in range(workers):
            self.add_worker()
        wait_for("the object store", lambda: "Running on" in self.store.said("store.log"))
        upload = (_PYTHON, "-c", _UPLOAD, sources)
        assert self.outside.run("upload.log", *upload) == 0, self.outside.said("upload.log")
        for worker in self.workers:
            _wait_for_ray(worker)

    def add_worker(self) -> Host:
        """One more host that works, which takes some seconds to join."""
        worker = self._add(f"worker-{len(self.workers) + 1}")
        # GPUs that are counted only, so that each host has one of the job's actors.
        worker.start(
            "ray.log",
            *(*_RAY_START, f"--address={self.head.address}:6379", "--num-cpus=2", "--num-gpus=1"),
            f"--temp-dir={worker.home}/ray",
        )
        self.workers.append(worker)
        return worker

    def committed(self, output: str) -> int:
        """How many shards the object store was given."""
        put = rf'"PUT /bucket/{output}/data/shard-\w+\.parquet HTTP/1\.1" 200'
        return len(set(re.findall(put, self.store.said("store.log"))))

    def _add(self, name: str) -> Host:
        host = self._network.add(name, RAY_AUTH_MODE="token", **_PATIENCE, **self._keys)
        token = host.home / ".ray" / "auth_token"
        token.parent.mkdir()
        token.write_text(self._token)
        return host


class Job:
    """A job that is submitted from outside, with its output at `output` in the bucket."""

    def __init__(self, hosts: Hosts, output: str, **options: object) -> None:
        self.hosts, self.output = hosts, output
        folder = hosts.outside.home / output
        folder.mkdir()
        given = {
            "content": "s3://bucket/content",
            "style": "s3://bucket/style",
            "output": f"s3://bucket/{output}",
            **options,
        }
        (folder / "job.yaml").write_text(json.dumps(given))
        self._submitted = hosts.outside.start(
            f"{output}.log",
            *(*_CLI, "submit", f"--address=http://{hosts.head.address}:8265"),
            *(f"--config={folder}/job.yaml", f"--working-dir={folder}"),
        )

    @property
    def committed(self) -> int:
        return self.hosts.committed(self.output)

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        """Waits until the condition holds, while the job goes on."""

        def holds() -> bool:
            ended = self._submitted.poll() is not None
            held = bool(condition())
            assert held or not ended, f"the job ended before {what}"
            return held

        try:
            wait_for(what, holds)
        except AssertionError as e:
            e.add_note(self.said)
            raise

    def wait_for_shards(self, count: int) -> None:
        """Waits until so many more shards are committed."""
        wanted = self.committed + count
        self.wait_for(f"{wanted} shards", lambda: self.committed >= wanted)

    def end(self) -> int:
        """The exit status."""
        return self._submitted.wait(300)

    def pictures(self) -> dict[str, np.ndarray]:
        """What was made, by pair, read from outside; that it is sound and complete is checked."""
        outside, url = self.hosts.outside, f"s3://bucket/{self.output}"
        assert outside.run("verify.log", *_CLI, "verify", url) == 0, outside.said("verify.log")
        folder = outside.home / f"{self.output}-read-back"
        fetch = (_PYTHON, "-c", _DOWNLOAD, f"{url}/data", folder / "data")
        assert outside.run("download.log", *fetch) == 0, outside.said("download.log")
        return pictures_of(folder)

    @property
    def said(self) -> str:
        return self.hosts.outside.said(f"{self.output}.log")


def has_actor(worker: Host) -> bool:
    """Whether an actor with the model is on a host."""
    return _does(worker, "MapBatches(Stylize)")


def is_busy(worker: Host) -> bool:
    """Whether an actor makes pictures on a host now."""
    return _does(worker, "MapBatches(Stylize)).submit")


def _does(worker: Host, what: str) -> bool:
    """Ray gives a process the name of what it does."""
    return any(what in _title(process) for process in worker.processes())


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _wait_for_ray(host: Host) -> None:
    def started() -> bool:
        assert not host.idle, f"Ray on {host.address} ended"
        return "Ray runtime started" in host.said("ray.log")

    try:
        wait_for(f"Ray on {host.address}", started)
    except AssertionError as e:
        e.add_note(host.said("ray.log"))
        raise
