"""Secrets that a job is given, looked for in every byte that it leaves behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.status import read_status

PASSWORD, SIGNATURE, SECRET, KEY = "pa55word-1", "51gnature-2", "5ecret-3", "k3y-4"
SECRETS = (PASSWORD, SIGNATURE, SECRET, KEY)


@pytest.fixture
def guarded(pictures: Path) -> Iterator[str]:
    """host:port of a server of the contents that answers to the password and the signature, but
    not each time."""
    asked = Counter[str]()
    credentials = base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            file = pictures / "content" / path.strip("/")
            may = self.headers.get("Authorization") == f"Basic {credentials}"
            may = may and f"X-Amz-Signature={SIGNATURE}" in query
            status = 403 if not may else 200 if file.is_file() else 404
            asked[path] += 1
            if asked[path] == 2:  # the first request only checks that it exists
                status = 500
            data = file.read_bytes() if status == 200 else b""
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def command(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "styleid_ray.cli", *args],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_ADDRESS": "", **environment},
        check=False,
    )


def everything_in(folder: Path) -> bytes:
    """All file names and bytes below a folder; Parquet files also decoded."""
    found: list[bytes] = []
    for path in filter(Path.is_file, folder.rglob("*")):
        found += [str(path).encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found += [repr(table.schema).encode(), repr(table.to_pylist()).encode()]
    return b"\n".join(found)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its logs; the names of sockets below it may not be long."""
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.cluster
def test_no_secret_is_in_the_output_on_the_screen_or_in_the_workers_logs(
    pictures: Path, guarded: str, s3: str, s3_endpoint: str, tmp_path: Path, ray_folder: Path
) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(pictures / "style"), f"{s3}/style", recursive=True)
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    signed = f"http://me:{PASSWORD}@{guarded}/{{}}?size=1&X-Amz-Signature={SIGNATURE}"
    contents = [signed.format(name) for name in ("a.png", "b.png", "broken.png")]
    table = pa.table({"content": contents * 2, "style": ["s.png"] * 3 + ["t.png"] * 3})
    pq.write_table(table, tmp_path / "pairs.parquet")
    options = {"s3": {"key": KEY, "secret": SECRET, "endpoint_url": s3_endpoint}}
    if "STYLEID_RAY_TEST_S3_ENDPOINT" in os.environ:
        del options["s3"]["key"], options["s3"]["secret"]
    output = tmp_path / "out"
    run = command(
        *("stylize", "--pairing=table", f"--table={tmp_path}/pairs.parquet", f"--style={s3}/style"),
        *("--model=demo", "--size=64", "--steps=2", f"--output={output}"),
        f"--storage-options={json.dumps(options)}",
        RAY_TMPDIR=str(ray_folder),
    )
    assert run.returncode == 1, run.stderr
    status = read_status(Output(str(output)))
    assert (status.done, status.failed) == (4, 2)
    report = command("report", str(output))
    assert report.returncode == 0, report.stderr

    said = "".join((run.stdout, run.stderr, report.stdout, report.stderr)).encode()
    logs = [path.read_bytes() for path in ray_folder.glob("ray/*/logs/worker-*")]
    assert logs
    left = b"".join((everything_in(output), said, *logs))
    assert f"http://{guarded}/broken.png?size=1".encode() in left
    assert not [secret for secret in SECRETS if secret.encode() in left]


@pytest.mark.parametrize(
    "wrong",
    [
        f"--content=http://me:{PASSWORD}@127.0.0.1:9/a.png?X-Amz-Signature={SIGNATURE}",
        f"--output=nonsense://me:{PASSWORD}@host/x?token={SECRET}",
        f"--model=https://me:{PASSWORD}@127.0.0.1:9/model?X-Amz-Signature={SIGNATURE}",
        f'--storage-options={{"key": "{KEY}"',
        f"--storage-options={SECRET}",
        f'--storage-options=["{SECRET}"]',
        f"--table=https://me:{PASSWORD}@127.0.0.1:9/pairs.csv?sig={SIGNATURE}",
        f"--config=https://me:{PASSWORD}@127.0.0.1:9/job.yaml?sig={SIGNATURE}",
    ],
)
def test_no_secret_is_in_the_error_line(pictures: Path, wrong: str) -> None:
    given = {
        "--content": f"{pictures}/content",
        "--style": f"{pictures}/style",
        "--output": f"{pictures}/out",
        "--model": "demo",
    }
    name, _, value = wrong.partition("=")
    given[name] = value
    if name == "--table":
        given["--pairing"] = "table"
    run = command("stylize", *(f"{name}={value}" for name, value in given.items()))
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert not [secret for secret in SECRETS if secret in run.stdout + run.stderr]
