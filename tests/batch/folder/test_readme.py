"""A run's folder read as a dataset by others."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import write_readme
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.shard import RESULTS, Shard
from styleid_ray.planning import shards_of
from styleid_ray.quality.columns import MEASURES
from tests.batch.stages.test_commit import NAME, PAIRS, plan_of, results


def commit(output: Output, shard: Shard, **options: Any) -> None:
    made = results(shard.pairs["content"].to_pylist(), ("broken.png",)).to_pylist()
    rows = [row | {"quality": dict.fromkeys(MEASURES, 0.5)} for row in made]
    config = JobConfig(content="c", style="s", output=output.url, model="demo", size=64, **options)
    table = RESULTS.empty_table().from_pylist(rows, RESULTS)
    Commit(output, config, None).commit(replace(shard, results=table))


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A run of two shards, one of which has a remade and a failed pair, with files beside them that
    are no rows."""
    output = Output(str(tmp_path / "out"))
    write_readme(output)
    ((other, pairs),) = shards_of(plan_of("d.png"))
    commit(output, Shard(other, pairs))
    commit(output, Shard(NAME, PAIRS))
    again = Shard(NAME, PAIRS.slice(0, 1), retry=True, remake=True)
    commit(output, again, detail=0.5, adain=0.5)
    output.write("_run/config.yaml", b"{}")
    output.write("inputs/content/a.png", b"")
    return output


def test_datasets_loads_the_folder_of_a_run_and_a_dataloader_its_whole_rows(
    output: Output, tmp_path: Path
) -> None:
    datasets: Any = import_module("datasets")
    read = datasets.load_dataset(output.root, split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(read.features["image"], datasets.Image)
    assert sorted(read["content"]) == ["a.png", "broken.png", "c.png", "d.png"]
    (batch,) = DataLoader(read.with_format("torch").sort("content"), batch_size=4)
    assert tuple(batch["image"].shape) == (4, 3, 64, 64)
    assert batch["params"]["revision"] == [""] * 4  # of the embedded model
    assert batch["params"]["detail"].tolist() == [0.5, 0, 0, 0]


def test_an_existing_readme_stays(output: Output) -> None:
    output.write("README.md", b"my own")
    write_readme(output)
    assert output.read("README.md") == b"my own"
