"""The card on the hub during a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.export import live_card
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import Progress
from tests.batch.conftest import draw
from tests.batch.export.conftest import Run
from tests.hub_server import HubServer, serving, use

HUB_ID = "someone/painted"


def half() -> Progress:
    """The progress of a run with one of its two pairs done."""
    return Progress(2, 1, 0)


@pytest.fixture(scope="module")
def config(run_of: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> JobConfig:
    """A finished run of two pairs, which publishes its export."""
    content = tmp_path_factory.mktemp("content")
    draw(content / "0.jpg", 1)
    run = run_of(content)
    publishing = {"output": run.output, "export": "imagefolder", "push_to": HUB_ID}
    return JobConfig(**{**run.options, **publishing})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving() as server:
        use(server, monkeypatch)
        yield server


def card(server: HubServer) -> str:
    return server.repositories[HUB_ID].files["README.md"].decode()


def test_the_card_shows_the_progress_of_the_run(config: JobConfig, server: HubServer) -> None:
    progress = half()
    with live_card.live_card(config, Output(config.output), progress) as update:
        update()
    assert progress.notes == []
    assert "In progress: 1 of 2 pairs done (50 %), updated 20" in card(server)
    assert len(server.repositories[HUB_ID].commits) == 1


def test_a_hub_that_does_not_answer_does_not_delay_the_run(
    config: JobConfig, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.held = threading.Event()
    start = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(live_card, "_LAST_SECONDS", 0.05)
        progress = half()
        with live_card.live_card(config, Output(config.output), progress, every=0) as update:
            update()
            update()
    assert progress.notes == [f"the card of {HUB_ID} stays: its last upload is still running"]
    assert time.monotonic() - start < 20
    server.held.set()
    with live_card.live_card(config, Output(config.output), half()) as update:
        update()
    assert "1 of 2 pairs done" in card(server)


def test_a_card_that_the_hub_refuses_is_a_line_of_the_run(
    config: JobConfig, server: HubServer
) -> None:
    server.refuse("GET", "whoami", 401, "no")
    progress = half()
    with live_card.live_card(config, Output(config.output), progress) as update:
        update()
    (line,) = progress.notes
    assert line.startswith(f"the card of {HUB_ID} is not updated: ")
    assert "does not accept the token" in line
