"""The GPU estimates of `styleid-ray plan` for full-size models, which need no weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.demand import job_demand
from styleid_ray.batch.prepare import Prepared
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.vae import Vae
from styleid_ray.planning.gpus import Demand, gpu_fits
from tests.full_models import KL, KL_XL, SD1, SD2, SDXL

GIB = 2**30
SHARD = [[10, 20, 200]]
"""Contents, styles and pairs."""


def demand(folder: Path, unet: Any, vae: Any, other: Any = None, **options: Any) -> Demand:
    """The demand of a job on a shard of 10 x 20; `other` is an autoencoder in place of `vae`."""
    files = {"unet/config.json": unet, "vae/config.json": vae}
    files["scheduler/scheduler_config.json"] = {"prediction_type": "epsilon"}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    checkpoint = Checkpoint("model", None, folder, "folder", tuple(files))
    if other:
        (folder / "config.json").write_text(json.dumps(other))
        own = Vae("other", None, folder, "folder", ("config.json",))
        checkpoint = replace(checkpoint, vae=own)
    precision = {"dtype": "float16", "feature_dtype": "float16"}
    config = JobConfig(content="c", style="s", output="o", **precision, **options)
    nothing: Any = None
    job = Prepared(config, checkpoint, nothing, nothing, nothing)
    layers = checkpoint.description.default_layers
    return job_demand(job, config.style_params.resolved(layers), SHARD)


@pytest.mark.parametrize(
    ("unet", "vae", "size", "says"),
    [
        (SD1, KL, 512, ["batch 16, features on the host"] * 2 + ["features on the device"] * 4),
        (SD2, KL, 768, ["batch 8, features on the host"] + ["host"] * 3 + ["on the device"] * 2),
        (
            SDXL,
            KL_XL,
            1024,
            ["needs --vae-tile 512", "batch 8", "on the host", "on the host", *["device"] * 2],
        ),
    ],
    ids=["SD 1.5", "SD 2.1", "SDXL"],
)
def test_the_plan_lists_what_fits_on_each_gpu_for_full_size_models(
    tmp_path: Path, unet: Any, vae: Any, size: int, says: list[str]
) -> None:
    fits = gpu_fits(demand(tmp_path, unet, vae, size=size), 16)
    for fit, part in zip(fits, says, strict=True):
        assert part in fit.as_text()
    batches = [fit.batch for fit in fits]
    assert batches == sorted(batches)


def test_another_autoencoder_counts_in_place_of_the_models_own(tmp_path: Path) -> None:
    small = KL | {"block_out_channels": [32, 64, 128, 128]}
    own, other = (demand(tmp_path, SD1, KL, vae, size=256) for vae in (None, small))
    assert other.vae < 0.5 * own.vae
    assert other.evaluation == own.evaluation


def test_windows_and_tiles_of_a_job_count_in_place_of_whole_pictures(tmp_path: Path) -> None:
    whole = demand(tmp_path, SDXL, KL_XL, size=2048)
    cut = demand(tmp_path, SDXL, KL_XL, size=2048, tile=1024, vae_tile=512)
    assert whole.evaluation == pytest.approx(4 * cut.evaluation, rel=0.02)
    assert cut.vae < 0.15 * whole.vae
    assert set(cut.tiled) == {256}
    assert "--vae-tile" in gpu_fits(whole, 16)[0].as_text()
