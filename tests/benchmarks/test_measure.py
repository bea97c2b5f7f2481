"""Each measurement, at a tiny size: its figures are there and hang together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import variants
from benchmarks.jobs import simulated_cluster
from benchmarks.measure import measure
from benchmarks.options import (
    BenchmarkOptions,
    ControlsOptions,
    ExportingOptions,
    GpuOptions,
    LoadingOptions,
    MemoryOptions,
    NaiveOptions,
    PipelineOptions,
    PlanningOptions,
    ScalingOptions,
)
from benchmarks.table import Table
from styleid_ray.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


def table_of(name: str, **options: object) -> Table:
    (found,) = measure(BenchmarkOptions(only=name, **{name: options[name]}))
    assert found[0] == name
    return found[1]


def test_the_engine_is_told_against_the_plain_procedure_grid_by_grid(tiny_model: Path) -> None:
    options = NaiveOptions(str(tiny_model), 64, 2, 4, ("1x1", "2x2", "20x40"), 4, naive_pairs=1)
    table = table_of("naive", naive=options)
    assert [row["evaluations, plain"] for row in table.rows] == [5, 20, 4000]
    assert [row["evaluations, engine"] for row in table.rows] == [5, 12, 920]
    assert [row["engine"] for row in table.rows] == ["measured", "measured", "extrapolated"]
    assert float(table.notes[-1].split()[-2]) < 1e-4


def test_controls_cost_no_evaluations_but_for_the_styles_they_add(tiny_model: Path) -> None:
    options = ControlsOptions(str(tiny_model), 64, 3, contents=1, repeats=1)
    rows = {row["control"]: row for row in table_of("controls", controls=options).rows}
    assert {row["UNet evaluations"] for row in rows.values()} == {3 * 3 + 2 * 2}
    assert rows["masks, half protected"]["left to rebuilt"] > 55
    assert rows["masks, half protected"]["right to rebuilt"] < 55


@pytest.mark.cluster
def test_the_pipeline_makes_the_pairs_that_the_bare_engine_makes(tiny_model: Path) -> None:
    options = PipelineOptions(
        model=str(tiny_model), size=64, steps=2, contents=2, styles=2, shard_pairs=2
    )
    with simulated_cluster(1):
        bare, pipeline = table_of("pipeline", pipeline=options).rows
    assert bare["pairs"] == pipeline["pairs"] == 4
    assert bare["ratio"] == 1
    assert pipeline["CPU s/pair"] > 0
    assert pipeline["ratio, once begun"] > pipeline["ratio"]
    assert 0 < pipeline["ratio"] == pytest.approx(pipeline["pairs/s"] / bare["pairs/s"])


@pytest.mark.cluster
def test_simulated_devices_share_the_shards_and_every_share_of_time_has_a_name() -> None:
    options = ScalingOptions(actors=(2,), shards_per_actor=2, shard_seconds=20, shorter=100)
    table = table_of("scaling", scaling=options)
    (row,) = table.rows
    assert (row["actors (simulated)"], row["shards"], row["pairs"]) == (2, 4, 64)
    names = ("busy, whole run", "starting", "between shards", "ending")
    assert sum(row[name] for name in names) == pytest.approx(1)
    assert "SIMULATED" in table.title


@pytest.mark.cluster
def test_memory_is_seen_of_every_kind_of_process() -> None:
    options = MemoryOptions(pairs=(20,), size=64, actors=1, shard_seconds=1)
    (row,) = table_of("memory", memory=options).rows
    assert row["pairs"] == 20
    assert all(row[kind] > 10 for kind in ("driver", "actor", "light stage", "raylet and GCS"))
    assert row["object store"] >= 0


TINY_GPU = GpuOptions(
    device="cpu",
    dtypes=("float32",),
    size=64,
    steps=2,
    contents=1,
    styles=2,
    plain_pairs=1,
    batches=(2,),
    autoencoder_batches=(1,),
    few_steps=2,
    variant_batches=(1, 2),
    attention=("math", "cudnn"),
    compiled=False,
    matrix=64,
    width=40,
)


def measure_tiny_gpu(**options: Any) -> dict[str, Table]:
    return dict(measure(BenchmarkOptions(only="gpu", gpu=replace(TINY_GPU, **options))))


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """Of the GPU's measurement on a CPU."""
    return measure_tiny_gpu()


def test_the_gpu_measurement_runs_on_any_device(tables: dict[str, Table]) -> None:
    parts = ("device", "unet", "procedures", "shares", "autoencoder", "variants")
    assert list(tables) == [f"gpu: {part}" for part in parts]
    calls = [(row["layout"], row["batch"]) for row in tables["gpu: unet"].rows]
    assert calls == [(x, n) for x in ("contiguous", "channels-last") for n in (1, 2)]
    plain, engine = tables["gpu: procedures"].rows
    assert (plain["pairs"], plain["evaluations"]) == (1, 2 * 2 + 1)
    assert (engine["pairs"], engine["evaluations"]) == (2, 3 * 2 + 2)
    assert engine["times plain"] == pytest.approx(engine["pairs/s"] / plain["pairs/s"])
    assert engine["of peak"] > 0


def test_the_shares_of_kinds_of_operation_are_the_whole_of_the_time(
    tables: dict[str, Table],
) -> None:
    shares = {row["what"]: row["share"] for row in tables["gpu: shares"].rows}
    assert shares["VAE"] > 0
    assert 0.1 < shares["UNet"] <= 1 - shares["VAE"] + 0.001
    kinds = ("attention", "convolutions", "products", "normalisation", "activations", "copies")
    assert all(shares[kind] > 0 for kind in kinds)
    assert sum(shares[kind] for kind in (*kinds, "other")) == pytest.approx(1)


def test_a_way_to_run_the_engine_that_the_device_lacks_is_a_row_with_its_reason(
    tables: dict[str, Table],
) -> None:
    rows = tables["gpu: variants"].rows
    failed = {row["attention"]: row["note"] for row in rows if row["note"]}
    assert list(failed) == ["cudnn"]
    assert failed["cudnn"].startswith("failed: ")
    assert [row["layout"] for row in rows].count("channels-last") == 1
    assert all(row["ms/evaluation"] > 0 for row in rows if not row["note"])


def test_a_measurement_that_does_not_fit_the_time_left_is_skipped_with_a_reason() -> None:
    tables = measure_tiny_gpu(seconds=0)
    assert [row["note"][:7] for row in tables["gpu: procedures"].rows] == ["skipped"] * 2
    assert {row["note"][:7] for row in tables["gpu: variants"].rows} == {"skipped"}
    assert not tables["gpu: shares"].rows
    assert tables["gpu: unet"].rows, "what is reckoned with is always measured"


def test_compiled_ways_come_after_the_eager_ones() -> None:
    ways = variants(replace(TINY_GPU, compiled=True), batch=2)
    assert [way.compiled for way in ways] == sorted(way.compiled for way in ways)
    assert {way.compiled for way in ways} == {False, True}
    assert len(set(ways)) == len(ways)


def test_a_machine_without_a_gpu_says_that_the_gpu_was_left_out() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _PRINT_GPU_TABLES]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "skipped: PyTorch sees no GPU" in run.stdout
    assert "ray" not in run.stdout.splitlines()[-1].split()


_PRINT_GPU_TABLES = """
import sys
from benchmarks.__main__ import measure
from benchmarks.options import BenchmarkOptions
for _, table in measure(BenchmarkOptions(only="gpu")):
    print(table)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_plans_are_timed_in_processes_of_their_own_and_a_slow_one_is_given_up() -> None:
    table = table_of("planning", planning=PlanningOptions(pairs=(1000,), styles=50))
    assert [row["pairing"] for row in table.rows] == ["cross", "random", "table"]
    assert [row["pairs"] for row in table.rows] == [1000, 1000, 1000]
    assert all(0 < row["peak GiB"] < 1 for row in table.rows)
    table = table_of("planning", planning=PlanningOptions(pairs=(1000,), styles=50, limit=0.01))
    assert [row["seconds"] for row in table.rows] == [None, None, None]


@pytest.mark.cluster
def test_a_shard_is_loaded_with_its_memory_watched() -> None:
    options = LoadingOptions(megapixels=(0.1,), pictures=4, size=64, period=0.01)
    (row,) = table_of("loading", loading=options).rows
    assert row["s"] > 0
    assert 0 < row["above MiB"] < row["peak MiB"]


def test_an_export_is_timed_in_a_process_of_its_own() -> None:
    options = ExportingOptions(pictures=(6,), annotations_per_picture=2, formats=("coco",))
    (row,) = table_of("exporting", exporting=options).rows
    assert (row["pictures"], row["annotations"]) == (6, 12)
    assert row["pictures/s"] == pytest.approx(6 / row["s"])
    assert row["driver peak MiB"] > 50


def test_an_unknown_measurement_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"--only speed: choose from naive, pipeline"):
        list(measure(BenchmarkOptions(only="naive,speed")))


def test_the_command_prints_a_table_and_writes_it_with_the_machine(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "planning", "--json", str(target)]
    command += ["--planning.pairs", "1000"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "### Planning" in run.stdout
    assert "| cross " in run.stdout
    found = json.loads(target.read_text())
    assert found["machine"]["cores"]
    assert found["options"]["planning"]["pairs"] == [1000]
    assert len(found["tables"]["planning"]["rows"]) == 3
