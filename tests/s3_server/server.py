"""Debian's radosgw with one monitor and one OSD that keeps objects in memory, on loopback alone."""

from __future__ import annotations

import secrets
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.s3_server.cluster import Cluster

_CONFIGURATION = Path(__file__).with_name("ceph.conf")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables by which the tests reach a new, empty server."""
    with tempfile.TemporaryDirectory(prefix="s3-server-") as temporary:
        folder, fsid, disk = Path(temporary), str(uuid.uuid4()), str(uuid.uuid4())
        monitor, gateway = _free_address(), _free_address()
        variables = {
            "STYLEID_RAY_TEST_S3_ENDPOINT": f"http://{gateway}",
            "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        (folder / "keyring").touch()
        (folder / "ceph.conf").write_text(
            _CONFIGURATION.read_text().format(
                fsid=fsid, folder=folder, monitor=monitor, gateway=gateway
            )
        )
        members = f"{folder}/monmap"
        cluster = Cluster(folder)
        try:
            cluster.run(
                *("monmaptool", "--create", f"--fsid={fsid}"),
                *("--addv", "a", f"[v2:{monitor}]", members),
            )
            cluster.run("ceph-mon", "--mkfs", "--id=a", f"--monmap={members}")
            cluster.start("ceph-mon", "--id=a")
            cluster.run("ceph", "osd", "new", disk)
            cluster.run("ceph-osd", "--mkfs", "--id=0", f"--osd-uuid={disk}")
            cluster.start("ceph-osd", "--id=0")
            cluster.run(
                *("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests"),
                f"--access-key={variables['AWS_ACCESS_KEY_ID']}",
                f"--secret-key={variables['AWS_SECRET_ACCESS_KEY']}",
            )
            cluster.start("radosgw", "--name=client.rgw")
            cluster.wait(variables["STYLEID_RAY_TEST_S3_ENDPOINT"])
            yield variables
        finally:
            cluster.end()


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
