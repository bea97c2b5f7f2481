"""The page of a run that goes on, asked for as a browser does."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError
from styleid_ray.report import write_report
from styleid_ray.report.serve import Page, report_server
from tests.report.conftest import MakeRun


@contextmanager
def serving(output: Output) -> Iterator[int]:
    """The port of a server of the run's page."""
    with report_server(output, 0, 100) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def get(port: int, path: str = "/", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def done_in(page: str) -> int:
    found = re.search(r"<dt>done</dt><dd>(\d+)", page)
    assert found
    return int(found[1])


def test_the_page_is_rebuilt_when_a_shard_is_committed_and_nothing_is_written(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs, gamma=0.3)
    (last, *_) = sorted((tmp_path / "run" / "data").iterdir())
    last.rename(tmp_path / "last")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    with serving(output) as port:
        _, first = get(port)
        _, version = get(port, "/version")
        assert f'data-version="{version}"' in first
        assert "connect-src 'self'" in first
        assert "location.reload" in first
        assert get(port) == (200, first)  # not rebuilt
        assert {p: p.stat().st_mtime_ns for p in before} == before

        (tmp_path / "last").rename(last)
        assert get(port, "/version")[1] != version
        _, second = get(port)
    assert done_in(first) < done_in(second)
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_page_is_rebuilt_after_a_retry_an_evaluation_and_the_end_of_a_command(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    page = Page(output, 100)
    versions = [page.version()]
    (shard, *_) = sorted((tmp_path / "run" / "data").iterdir())
    os.utime(shard, ns=(1, 1))  # as if it had been rewritten
    versions.append(page.version())
    output.write("evaluation/summary.json", b"{}")
    versions.append(page.version())
    output.write("summary.json", json.dumps({"finished": "today"}).encode())
    versions.append(page.version())
    assert len({*versions}) == 4
    assert page.version() == versions[-1]


def test_a_disconnected_browser_and_an_unexpected_error_end_nothing_and_print_no_traceback(
    make_run: MakeRun,
    inputs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    output, gone = make_run(str(tmp_path / "run"), *inputs), Event()

    def read(page: Page) -> bytes:
        assert gone.wait(60)
        return bytes(2**24)

    monkeypatch.setattr(Page, "read", read)
    with serving(output) as port:
        with socket.create_connection(("127.0.0.1", port)) as browser:
            browser.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        gone.set()
        assert get(port, "/version")[0] == 200
        monkeypatch.setattr(Page, "read", lambda page: {}["row"])
        assert get(port) == (500, "KeyError: 'row'")
    assert "Traceback" not in capfd.readouterr().err


def test_only_this_machine_is_answered_and_the_server_survives_a_fault(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    with serving(output) as port:
        assert get(port, host=f"evil.example:{port}")[0] == 403
        assert get(port, host="evil.example")[0] == 403
        assert get(port, "/version", host="localhost")[0] == 200  # as for port 80
        assert get(port, "/other")[0] == 404
        config = tmp_path / "run" / "_run" / "config.yaml"
        text = config.read_text()
        config.unlink()
        status, reason = get(port)
        assert (status, "there is no run" in reason) == (503, True)
        config.write_text(text)
        assert get(port)[0] == 200


def test_a_written_page_makes_no_request(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    write_report(output)
    page = output.read("report.html").decode()
    assert "connect-src" not in page
    assert "fetch(" not in page


def test_a_taken_port_and_an_absent_run_are_one_line(
    make_run: MakeRun,
    inputs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    with serving(output) as port, pytest.raises(ConfigError, match=f"--port {port} cannot be used"):
        report_server(output, port, 100)
    assert main(["report", str(tmp_path / "none"), "--watch"]) == 2
    assert "there is no run" in capsys.readouterr().err
