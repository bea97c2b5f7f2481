"""A run's folder read as a dataset by others."""

from __future__ import annotations

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
from styleid_ray.quality.columns import MEASURES
from tests.batch.stages.test_commit import NAME, PAIRS, results


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A run of two finished and two failed pairs, with files beside them that are no rows."""
    output = Output(str(tmp_path / "out"))
    config = JobConfig(content="c", style="s", output=output.url, model="demo", size=64)
    made = results(PAIRS["content"].to_pylist()).to_pylist()
    rows = [row | {"quality": dict.fromkeys(MEASURES, 0.5)} for row in made]
    shard = Shard(NAME, PAIRS, results=RESULTS.empty_table().from_pylist(rows, RESULTS))
    write_readme(output)
    Commit(output, config, None).commit(shard)
    output.write("_run/config.yaml", b"{}")
    output.write("inputs/content/a.png", b"")
    return output


def test_datasets_loads_the_folder_of_a_run_and_a_dataloader_its_whole_rows(
    output: Output, tmp_path: Path
) -> None:
    datasets: Any = import_module("datasets")
    read = datasets.load_dataset(output.root, split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(read.features["image"], datasets.Image)
    assert sorted(read["content"]) == ["a.png", "c.png"]
    (batch,) = DataLoader(read.with_format("torch"), batch_size=2)
    assert tuple(batch["image"].shape) == (2, 3, 64, 64)
    assert batch["params"]["revision"] == ["", ""]  # of the embedded model


def test_an_existing_readme_stays(output: Output) -> None:
    output.write("README.md", b"my own")
    write_readme(output)
    assert output.read("README.md") == b"my own"
