"""Each measurement, at a tiny size: its figures are there and hang together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.jobs import simulated_cluster
from benchmarks.measure import measure
from benchmarks.options import (
    BenchmarkOptions,
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


def test_the_gpu_measurement_runs_on_any_device() -> None:
    options = GpuOptions(
        device="cpu",
        dtypes=("float32",),
        size=64,
        steps=2,
        contents=1,
        styles=2,
        batches=(1, 2),
        matrix=64,
        width=40,
    )
    (row,) = table_of("gpu", gpu=options).rows
    assert row["pairs"] == 2
    assert row["batch"] in (1, 2)
    assert 0 < row["attention"] < row["UNet"] < 1
    assert 0 < row["VAE"] < 1
    assert row["UNet"] + row["VAE"] <= 1.001
    assert row["TFLOP/s"] > 0


def test_a_machine_without_a_gpu_says_that_the_gpu_was_left_out() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _PRINT_GPU_TABLE]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "skipped: PyTorch sees no GPU" in run.stdout


_PRINT_GPU_TABLE = """
from benchmarks.gpu import measure_gpu
from benchmarks.options import GpuOptions
print(measure_gpu(GpuOptions()))
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
