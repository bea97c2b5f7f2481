"""A Ray that a job starts on its own machine is for this machine alone."""

from __future__ import annotations

import ipaddress

import psutil
import pytest

from styleid_ray.batch.cluster.connect import connected
from styleid_ray.config import ClusterOptions


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    connections = process.net_connections("inet")
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def test_a_local_ray_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    this = psutil.Process()
    before = listening(this)
    with connected(ClusterOptions()):
        ray.get(ray.remote(lambda: None).remote())  # a worker is up
        session = ray.nodes()[0]["ObjectStoreSocketName"].rsplit("/sockets/", 1)[0]
        daemons = [p for p in psutil.process_iter() if session in " ".join(_command(p))]
        family = {this, *daemons, *(child for p in daemons for child in p.children(recursive=True))}
        found = set().union(*map(listening, family)) - before
        names = {process.name() for process in family}
    assert {"gcs_server", "raylet"} <= names
    assert any(name.startswith("ray::") for name in names)
    assert len(found) >= len(daemons)
    assert not {(ip, port) for ip, port in found if not is_loopback(ip)}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
