"""The metrics of a run, read at the endpoint for Prometheus, and their dashboard."""

from __future__ import annotations

import io
import json
import re
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from styleid_ray import JobConfig
from styleid_ray.batch.run import Summary, stylize
from styleid_ray.batch.watch.metrics import COMMITTED, STATE, STYLIZED
from tests.batch.conftest import draw

pytestmark = pytest.mark.cluster

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "styleid_ray.json"
_PATIENCE, _LOOK_AGAIN = 60, 0.2  # seconds


@dataclass
class Watched:
    """A finished job, and its metrics at Ray's endpoint."""

    summary: Summary
    messages: str
    samples: dict[str, list[tuple[dict[str, str], float]]]
    """Labels and value of each series of the project, by name."""


def scrape() -> dict[str, list[tuple[dict[str, str], float]]]:
    """The project's series at the endpoint of the one node."""
    node = ray.nodes()[0]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address) as answer:
        text = answer.read().decode()
    found = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "styleid" in sample.name:
                found[sample.name].append((sample.labels, sample.value))
    return dict(found)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A job of 8 pairs, 2 of an unreadable picture, on GPUs that exist only in Ray's counts."""
    folder = tmp_path_factory.mktemp("watched")
    for number in range(3):
        draw(folder / "content" / f"{number}.png", number)
    (folder / "content" / "broken.png").write_bytes(b"not a picture")
    for number in range(2):
        draw(folder / "style" / f"{number}.png", 10 + number)
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _system_config={"metrics_report_interval_ms": 1000},
    )
    try:
        config = JobConfig(
            content=str(folder / "content"),
            style=str(folder / "style"),
            output=str(folder / "Übung 1"),
            model="demo",
            size=64,
            steps=2,
            shard_pairs=2,
            device="cpu",
            num_gpus_per_actor=1,
        )
        messages = io.StringIO()
        summary = stylize(config, messages)
        watched = Watched(summary, messages.getvalue(), {})
        deadline = time.monotonic() + _PATIENCE
        while counted(watched) != expected(watched) and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)
            watched.samples = scrape()
        yield watched
    finally:
        ray.shutdown()


def expected(watched: Watched) -> dict[str, Any]:
    """The counts of the job's summary, by metric."""
    session = {**watched.summary.session, "pairs": watched.summary.done}
    counters = {
        f"ray_{name}_total": session[measure] for measure, name, _ in (*COMMITTED, *STYLIZED)
    }
    state = {f"ray_{name}": 0 for name, _ in STATE}
    state["ray_styleid_pairs_planned"] = watched.summary.planned
    return {name: pytest.approx(value) for name, value in (counters | state).items()}


def counted(watched: Watched) -> dict[str, float]:
    """The sum of each metric's series at the endpoint."""
    return {name: sum(value for _, value in of) for name, of in watched.samples.items()}


def test_prometheus_reads_the_counts_of_the_summary(watched: Watched) -> None:
    assert (watched.summary.done, watched.summary.failed) == (6, 2)
    assert counted(watched) == expected(watched)


def test_every_series_names_its_run_and_the_process_that_counted(watched: Watched) -> None:
    labels = [labels for series in watched.samples.values() for labels, _ in series]
    output = watched.summary.output.replace("Ü", "%C3%9C")  # Ray takes ASCII alone
    assert {label["run"] for label in labels} == {output}
    driver = ray.get_runtime_context().get_worker_id()
    counted = {name: {of["WorkerId"] for of, _ in s} for name, s in watched.samples.items()}
    assert counted["ray_styleid_pairs_done_total"] == {driver}
    assert driver not in counted["ray_styleid_pairs_stylized_total"]


def test_the_dashboard_queries_exactly_the_exported_metrics(watched: Watched) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = {p["title"]: " ".join(t["expr"] for t in p["targets"]) for p in dashboard["panels"]}
    variables = [v["definition"] for v in dashboard["templating"]["list"] if "definition" in v]
    asked = {
        query: set(re.findall(r"\bray_\w+", query)) for query in (*panels.values(), *variables)
    }
    assert all(asked.values())
    assert set().union(*asked.values()) == set(watched.samples)


def test_the_dashboard_has_its_source_its_run_and_panels_that_do_not_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        for asker in (panel, *panel["targets"]):
            assert asker["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            used = set(re.findall(r"\$([a-z]\w*)", target["expr"]))
            assert "run" in used <= set(variables), panel["title"]
        at: dict[str, Any] = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_summary_has_gpu_hours_and_their_busy_share(watched: Watched) -> None:
    session = watched.summary.session
    assert session["gpu_hours"] == pytest.approx(session["actor_seconds"] / 3600, abs=1e-4)
    assert 0 < session["busy_share"] < 1
    assert session["stylize_seconds"] + session["waiting_seconds"] < session["actor_seconds"]
    assert re.search(r"GPU hours, \d+% of them stylising", watched.messages)
