"""Runs of the methods that StyleID is compared with."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
import torch
import yaml
from PIL import Image

from styleid_ray import JobConfig, StyleParams
from styleid_ray.batch.begin import begin
from styleid_ray.batch.cluster.growth import wait_for_growth
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import find_run
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.forecast import forecast
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.run import retry, stylize
from styleid_ray.batch.stages.device import Device
from styleid_ray.batch.stages.engine import load_pipeline
from styleid_ray.batch.stages.pairs import Pairs, Picture
from styleid_ray.batch.stages.row_params import PARAMS, params_of_job
from styleid_ray.config import PIXEL_METHODS, Method
from styleid_ray.engine.baseline_pipeline import Baseline
from styleid_ray.engine.baselines import mkl
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.report.facts import labelled

Job = Callable[..., JobConfig]


@pytest.fixture
def compared(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A small job of another method; without a model where it needs none."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def make(method: Method, **options: Any) -> JobConfig:
        model = {} if method in PIXEL_METHODS else {"model": "demo"}
        sources = {"content": str(pictures / "content"), "style": str(pictures / "style")}
        given = {**sources, **model, "output": str(pictures / "out"), "size": 64} | options
        return JobConfig(method=method, **given)

    return make


def rows(output: Path, kind: str = "data") -> list[dict[str, Any]]:
    return pads.dataset(output / kind, format="parquet").to_table().to_pylist()


def begun(config: JobConfig) -> str:
    """Plans a run and does nothing of it."""
    out = io.StringIO()
    begin(Output(config.output), config, lambda shards: Resources(1, 1, 0, 1), out)
    return out.getvalue()


@pytest.mark.parametrize("method", PIXEL_METHODS)
def test_a_colour_transfer_is_planned_without_a_model_and_at_no_cost(
    compared: Job, method: Method
) -> None:
    plan = forecast(compared(method))
    numbers, text = plan.as_dict(), plan.as_text()
    assert numbers["method"] == method
    assert numbers["unet_evaluations"] == numbers["naive_unet_evaluations"] == 0
    assert (numbers["floor_ratio"], numbers["naive_ratio"]) == (None, None)
    assert text["UNet evaluations"] == f"0 (method {method})"
    assert "inversions" not in text
    assert text["memory"].startswith("0.00 MiB on the device")


@pytest.mark.parametrize("options", [{"rate": 3.0}, {"calibrate": True}, {"price": 2.0}])
def test_a_rate_of_evaluations_is_refused_where_there_are_none(
    compared: Job, options: dict[str, Any]
) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"--{name} is about UNet evaluations, and --method mkl"):
        forecast(compared("mkl"), **options)


def test_the_record_of_a_run_names_the_method_and_no_model_that_it_does_not_have(
    compared: Job, pictures: Path
) -> None:
    assert "method mkl, no UNet evaluations" in begun(compared("mkl"))
    record = yaml.safe_load((pictures / "out" / "_run" / "config.yaml").read_text())
    assert record["identity"]["method"] == record["config"]["method"] == "mkl"
    assert not {"model", "gamma", "preset", "dtype"} & record["config"].keys()
    assert set(record["model"].values()) == {None}
    assert stored_job(str(pictures / "out"), {}).method == "mkl"
    facts = dict(labelled(record["config"]))
    assert facts["method"] == "the linear Monge-Kantorovitch colour transfer"
    assert facts.keys() == {"method", "working size", "fit"}


@pytest.mark.parametrize(
    ("before", "after"), [("mkl", "adain"), ("mkl", "styleid"), ("latent-adain", "styleid")]
)
def test_a_run_is_not_resumed_with_another_method(
    compared: Job, before: Method, after: Method
) -> None:
    model = {} if before in PIXEL_METHODS else {"model": "demo"}
    config = compared(before, **model)
    begun(config)
    differing = f"method: the run has {before}, this command {after}"
    with pytest.raises(OutputError, match=re.escape(f"other options ({differing})")):
        find_run(Output(config.output), compared(after))
    assert find_run(Output(config.output), config)


def test_columns_of_a_table_that_a_method_ignores_are_refused(
    compared: Job, pictures: Path
) -> None:
    table = pictures / "pairs.csv"
    for column, value in (("gamma", "0.5"), ("style2", "t.png")):
        table.write_text(f"content,style,{column}\na.png,s.png,{value}\n")
        with pytest.raises(ConfigError, match=f"the column {column} has no effect with --method"):
            prepare(compared("mkl", pairing="table", table=str(table)))
    table.write_text("content,style,note\na.png,s.png,x\n")
    assert prepare(compared("mkl", pairing="table", table=str(table))).named.pairs.table.num_rows


def test_rows_name_the_method_and_no_parameter_of_styleid(compared: Job) -> None:
    row = pa.array([params_of_job(compared("mkl"), None)], PARAMS)[0].as_py()
    assert {name: value for name, value in row.items() if value is not None} == {
        "size": 64,
        "fit": "keep",
        "method": "mkl",
    }
    latent = params_of_job(compared("latent-adain"), "r")
    assert (latent["model"], latent["revision"], latent["gamma"]) == ("demo", "r", None)
    assert params_of_job(compared("styleid", model="demo"), None)["method"] == "styleid"


def test_a_colour_transfer_waits_for_no_gpu(compared: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    needed: list[Resources] = []
    monkeypatch.setattr("styleid_ray.batch.cluster.growth.awaited", needed.append)
    wait_for_growth(compared("mkl", grow=1), io.StringIO())
    wait_for_growth(compared("latent-adain", grow=1), io.StringIO())
    assert [resources.gpus_per_actor for resources in needed] == [0, 1]


@pytest.fixture
def reread(pictures: Path) -> Callable[[str], torch.Tensor]:
    """A source picture, [3, H, W] in [0, 1]."""

    def read(name: str) -> torch.Tensor:
        pixels = np.array(Image.open(pictures / name).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).double() / 255

    return read


@pytest.mark.usefixtures("local_ray")
def test_a_run_of_a_colour_transfer_is_resumed_retried_and_has_the_transfers_pictures(
    compared: Job, pictures: Path, reread: Callable[[str], torch.Tensor]
) -> None:
    good = (pictures / "style" / "t.png").read_bytes()
    Image.new("RGB", (64, 64), (90, 20, 200)).save(pictures / "content" / "even.png")
    (pictures / "style" / "t.png").write_bytes(b"no picture")
    config = compared("mkl", size=72)
    stream = io.StringIO()
    summary = stylize(config, stream)
    assert (summary.done, summary.failed) == (4, 4)
    assert "UNet evaluations;" not in stream.getvalue()
    assert stylize(config, io.StringIO()).done == 4
    (pictures / "style" / "t.png").write_bytes(good)
    assert retry(config, io.StringIO()).exit_status == 0
    made = {(row["content"], row["style"]): row for row in rows(pictures / "out")}
    assert len(made) == 8
    for row in made.values():
        assert row["params"]["method"] == "mkl"
        assert row["params"]["model"] is None
    for name in ("a.png", "even.png"):  # they are not scaled; the style is, a little
        expected = mkl(reread(f"content/{name}"), reread("style/s.png")).clamp(0, 1)
        pixels = np.asarray(Image.open(io.BytesIO(made[name, "s.png"]["image"]["bytes"])))
        np.testing.assert_allclose(pixels / 255, expected.permute(1, 2, 0), atol=0.01)


def test_an_actor_of_latent_adain_holds_only_the_autoencoder_and_measures_no_structure(
    compared: Job,
) -> None:
    pipe = load_pipeline(compared("latent-adain"), None, Resources(1, 1, 0, 1))
    assert isinstance(pipe, Baseline)
    device = Device(pipe, 0)
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    content, *styles = map(Picture.of, noise)
    pairs = Pairs([content], styles, [(0, (0,)), (0, (1,))], [StyleParams()] * 2)
    work = device.stylize(pairs, quality=True)
    made = {number: x.shape for number, x in work if x is not None}
    assert made == {0: (64, 64, 3), 1: (64, 64, 3)}
    assert [values["structure"] for values in work.quality.values()] == [None, None]
    assert work.measures["unet_evaluations"] == 0
