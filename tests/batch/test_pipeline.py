"""Effects of Ray Data and the board on a run: limits on time, progress within a shard."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch import pipeline
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.run import stylize
from styleid_ray.batch.watch import live, lookout, progress
from styleid_ray.batch.watch.board import View
from tests.batch.conftest import draw, pictures_of
from tests.batch.folder.test_resume import start

pytestmark = pytest.mark.cluster

Job = Callable[..., JobConfig]


@pytest.fixture
def one_shard(job: Job, pictures: Path) -> Callable[..., JobConfig]:
    """A job of 24 pairs in one shard, in batches of 2 that take long enough to be seen."""
    for seed in range(6, 15):
        draw(pictures / "content" / f"{seed}.png", seed)
    return lambda **options: job(shard_pairs=24, size=128, steps=10, batch=2, **options)


def test_a_shard_that_outlasts_ray_datas_limit_without_progress_is_finished(
    job: Job, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S", "2")
    driver = start(job(), pictures / "out")
    lines = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, lines
    assert len(pictures_of(pictures / "out")) == 6


@pytest.fixture
def one_core() -> Iterator[None]:
    """Processes that are started in the test have one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
def test_shards_are_committed_while_the_pictures_of_others_are_fetched_on_a_single_core(
    job: Job, pictures: Path
) -> None:
    output, over = pictures / "out", threading.Event()
    committed: list[bool] = []

    class Server(SimpleHTTPRequestHandler):
        """Holds the picture of the second shard back until the first shard is committed."""

        def do_GET(self) -> None:
            if "late" in self.path:
                while not list(output.glob("data/*.parquet")) and not over.wait(0.1):
                    pass
                committed.append(not over.is_set())
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    for seed, name in enumerate(("a", "b-late", "c")):
        draw(pictures / "web" / f"{name}.png", seed)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=pictures / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://127.0.0.1:{server.server_port}"
    table = pictures / "pairs.csv"
    rows = [f"{web}/{name}.png,s.png" for name in ("a", "b-late", "c")]
    table.write_text("\n".join(["content,style", *rows]))
    config = job(pairing="table", table=str(table), content=None, shard_pairs=1)
    driver = start(config, output)
    try:
        lines = driver.communicate(timeout=180)[1]
    finally:
        over.set()
        driver.kill()
        server.shutdown()
        server.server_close()
    assert driver.returncode == 0, lines
    assert all(committed)
    assert len(pictures_of(output)) == 3


@pytest.mark.filterwarnings("error::ray.util.annotations.RayDeprecationWarning")
@pytest.mark.usefixtures("local_ray")
def test_pairs_count_on_the_screen_and_in_the_output_while_their_shard_is_made(
    one_shard: Callable[..., JobConfig], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.2)
    monkeypatch.setattr(live, "_WRITE_SECONDS", 0.0)
    under_way: list[int] = []
    shards: Any = pipeline.run_shards
    output = Output(str(pictures / "out"))

    def run_and_look(*args: Any) -> Any:
        *others, seen = args

        def see(view: View) -> None:
            seen(view)
            if not list(pictures.glob("out/data/*")):
                under_way.append(live.pairs_under_way(output))

        return shards(*others, see)

    monkeypatch.setattr(pipeline, "run_shards", run_and_look)
    screen = io.StringIO()
    summary = stylize(one_shard(), screen)
    assert (summary.done, summary.session["shards"]) == (24, 1)
    lines = [line for line in screen.getvalue().splitlines() if " of 24 pairs (" in line]
    counts = [int(line.split(" of ")[0]) for line in lines]
    assert counts == sorted(counts)
    assert len(set(counts)) > 3, counts
    assert any("pairs/s" in line and "left" in line for line in lines)
    assert max(under_way) > 0
    assert not (pictures / "out" / live.PROGRESS).exists()


@pytest.mark.usefixtures("local_ray")
def test_a_run_continues_without_its_board(
    one_shard: Callable[..., JobConfig], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards: Any = pipeline.run_shards
    killed: list[psutil.Process] = []
    monkeypatch.setattr(lookout, "_LOOK_SECONDS", 0.2)

    def run_and_kill(*args: Any) -> Any:
        *others, seen = args

        def see(view: View) -> None:
            seen(view)
            if view.made and not killed:
                killed.extend(boards())
                for board in killed:
                    board.kill()

        return shards(*others, see)

    monkeypatch.setattr(pipeline, "run_shards", run_and_kill)
    summary = stylize(one_shard(), io.StringIO())
    assert len(killed) == 1
    assert (summary.done, summary.failed) == (24, 0)
    assert len(pictures_of(pictures / "out")) == 24


def boards() -> list[psutil.Process]:
    """The processes of boards in the Ray that this process is connected to."""
    found = []
    for process in psutil.Process().children(recursive=True):
        title = " ".join(process.cmdline())
        if title.startswith("ray::Board"):
            found.append(process)
    assert found
    return found
