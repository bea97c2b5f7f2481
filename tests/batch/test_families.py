"""Whole jobs with a model of each family."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as pads
import pytest
from PIL import Image
from ray import cloudpickle

from styleid_ray import JobConfig, StyleParams
from styleid_ray.batch import pipeline
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.run import stylize
from styleid_ray.batch.stages.device import Device
from styleid_ray.batch.stages.engine import load_pipeline
from styleid_ray.batch.stages.pairs import Pairs, Picture
from styleid_ray.batch.stages.stylize import Stylize
from tests.batch.conftest import pictures_of, same_pictures
from tests.families import FAMILIES

Job = Callable[..., JobConfig]
LAYERS = {"sd2-v": [*range(6, 12)], "sdxl": [*range(9, 15)], "unconditional": [3, 4, 5]}
"""Families that are not SD 1.x, and the layers that their pairs are made with by default."""


@pytest.mark.parametrize("family", LAYERS)
def test_an_actor_makes_pictures_of_several_sizes_with_a_model_of_each_family(
    job: Job, pictures: Path, family: str
) -> None:
    config = job(model=str(FAMILIES[family](pictures / "model")))
    device = Device(load_pipeline(config, None, Resources(1, 1, 0, 1)), 0)
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    sizes = [(64, 64), (64, 128), (128, 64), (64, 64)]
    small, wide, *styles = (Picture.of(noise[:h, :w].copy()) for h, w in sizes)
    params = [StyleParams(steps=2)] * 4
    grid = [(c, (s,)) for c in (0, 1) for s in (0, 1)]
    work = device.stylize(Pairs([small, wide], styles, grid, params), quality=True)
    made = {number: x for number, x in work if x is not None}
    assert {n: x.shape for n, x in made.items()} == {
        **dict.fromkeys((0, 1), (64, 64, 3)),
        **dict.fromkeys((2, 3), (64, 128, 3)),
    }
    assert work.measures["unet_evaluations"] == 4 * 2 + 4 * 1
    assert all(values["structure"] is not None for values in work.quality.values())


def killed_once(folder: Path) -> type:
    """A class of actors the first of which ends its process with its second shard."""

    class Killed(Stylize):
        def pipeline(self, config: Any, revision: Any, resources: Any) -> Any:
            pipe: Any = super().pipeline(config, revision, resources)
            transfer = pipe.transfer_latents

            def transfer_or_die(*args: Any, **options: Any) -> Any:
                for mark in ("begun", "killed"):
                    if not (folder / mark).exists():
                        (folder / mark).touch()
                        if mark == "killed":
                            os.kill(os.getpid(), signal.SIGKILL)
                        break
                return transfer(*args, **options)

            pipe.transfer_latents = transfer_or_die
            return pipe

    Killed.__name__ = Killed.__qualname__ = "Stylize"
    return Killed


@pytest.mark.cluster
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("family", LAYERS)
def test_a_job_of_each_family_outlives_a_kill_and_resumes_to_the_same_pictures(
    job: Job, pictures: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    shards, actors = pipeline.run_shards, killed_once(pictures)
    monkeypatch.setattr(pipeline, "run_shards", lambda *args: shards(*args, stylize=actors))
    config = job(model=str(FAMILIES[family](pictures / "model")), actors=1)
    summary = stylize(config, io.StringIO())
    assert (summary.done, summary.failed) == (6, 0)
    assert (pictures / "killed").exists()
    whole = pictures_of(pictures / "out")

    for row in pads.dataset(pictures / "out" / "data", format="parquet").to_table().to_pylist():
        width, height = Image.open(pictures / "content" / row["content"]).size
        assert (row["width"], row["height"]) == (width, height)
        assert whole[row["pair_id"]].shape == (height, width, 3)
        assert row["params"]["layers"] == LAYERS[family]
        assert row["params"]["model"] == str(pictures / "model")

    next((pictures / "out" / "data").glob("*.parquet")).unlink()
    assert stylize(config, io.StringIO()).done == 6
    same_pictures(pictures_of(pictures / "out"), whole)
