"""The cost of a job before it runs, as `styleid-ray plan` prints it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.folder.record import begin_run
from styleid_ray.batch.forecast import forecast
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.rate import measure_rate
from styleid_ray.errors import ConfigError
from tests.batch.conftest import draw

Job = Callable[..., JobConfig]


def test_evaluations_are_compared_with_the_minimum_and_pair_by_pair(
    job: Job, pictures: Path
) -> None:
    said = forecast(job(steps=10)).as_dict()
    assert (said["pairs"], said["shards"], said["inversions"]) == (6, 3, 9)
    assert said["unet_evaluations"] == 9 * 10 + 6 * 9
    assert said["floor_unet_evaluations"] == 5 * 10 + 6 * 9
    assert said["naive_unet_evaluations"] == 6 * 29
    assert said["floor_ratio"] == round(144 / 104, 4)
    assert said["naive_ratio"] == round(144 / 174, 4)
    assert "rate" not in said
    assert not (pictures / "out").exists()


def test_bytes_to_read_count_each_file_once_per_shard(job: Job, pictures: Path) -> None:
    sizes = [p.stat().st_size for p in pictures.rglob("*") if p.suffix in (".png", ".jpg")]
    assert forecast(job(shard_pairs=200)).as_dict()["bytes_in"] == sum(sizes)
    styles = sum(p.stat().st_size for p in (pictures / "style").iterdir())
    assert forecast(job()).as_dict()["bytes_in"] == sum(sizes) + 2 * styles


def test_the_plan_says_that_masks_are_not_counted(job: Job, pictures: Path) -> None:
    plain = forecast(job())
    for path in (pictures / "content").rglob("*.*"):
        mask = (pictures / "masks" / path.relative_to(pictures / "content")).with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(mask)
    masked = forecast(job(masks=str(pictures / "masks")))
    assert masked.as_dict()["bytes_in"] == plain.as_dict()["bytes_in"]
    assert masked.as_text()["read"] == plain.as_text()["read"] + ", masks not counted"


def test_skipped_files_are_counted_by_kind(job: Job, pictures: Path) -> None:
    assert "skipped" not in forecast(job()).as_text()
    for name in ("1.HEIC", "2.heic", "notes.txt"):
        (pictures / "content" / name).touch()
    plan = forecast(job())
    assert plan.as_text()["skipped"] == "2 .heic, 1 .txt"
    assert plan.as_dict()["left_out"] == {".heic": 2, ".txt": 1}


def test_bytes_to_write_are_estimated_from_contents_in_the_jobs_format(
    job: Job, pictures: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for path in (pictures / "content").rglob("*.*"):
        path.unlink()
    Image.fromarray(noise).save(pictures / "content" / "noise.png")
    png = forecast(job(fit="crop")).as_dict()["bytes_out"]
    assert 1 < png / (2 * noise.nbytes) < 1.05, "two pairs of what no PNG makes smaller"
    jpeg = forecast(job(fit="crop", picture_format="jpeg", quality=50)).as_dict()["bytes_out"]
    assert jpeg < png / 2


def test_contents_that_cannot_be_read_leave_the_bytes_to_write_unknown(
    job: Job, pictures: Path
) -> None:
    for path in (pictures / "content").rglob("*.*"):
        path.write_bytes(b"no picture")
    said = forecast(job())
    assert said.as_dict()["bytes_out"] is None
    assert said.as_text()["written"] == "about unknown"


def test_memory_is_listed_for_the_jobs_store_or_for_each(job: Job) -> None:
    def memory(**options: Any) -> dict[str, dict[str, int]]:
        return forecast(job(**options)).as_dict()["memory"]

    either = memory()
    assert set(either) == {"device", "host"}
    assert either["host"]["host"] == either["device"]["device"] + either["device"]["host"]
    assert either["host"]["device"] <= either["device"]["device"]
    # One content held, two styles, or the other way round; two pairs of 64 x 64 pixels.
    assert either["device"]["host"] == 5 * 64 * 64 * 3
    assert memory(features="host") == {"host": either["host"]}
    half = memory(feature_dtype="float16")["device"]["device"]
    assert memory(feature_dtype="float32")["device"]["device"] == 2 * half


def test_the_plan_lists_what_fits_on_common_gpus(job: Job) -> None:
    plan = forecast(job())
    numbers = plan.as_dict()["gpus"]
    assert [gpu["gb"] for gpu in numbers] == [8, 12, 16, 24, 40, 80]
    assert {(gpu["batch"], gpu["features"], gpu["size"]) for gpu in numbers} == {
        (16, "device", None)
    }
    text = plan.as_text()
    assert "not measured" in text["by GPU memory"]
    assert text["  8 to 80 GB"] == "batch 16, features on the device"
    assert text["planned for"] == "GPUs; --device cpu plans for CPUs"
    assert list(text.items())[-1] == (
        "time",
        "unknown: --calibrate measures it, --rate RUN takes it from a run",
    )
    kept = forecast(job(features="host", batch=4)).as_dict()["gpus"]
    assert kept[0]["features"] == "host"


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"num_gpus_per_actor": 0}])
def test_the_plan_of_a_job_on_cpus_does_not_mention_gpus(job: Job, options: dict[str, Any]) -> None:
    plan = forecast(job(**options))
    assert "planned for" not in plan.as_text()
    assert "gpus" not in plan.as_dict()


def test_a_rate_and_a_price_give_time_gpu_hours_and_cost(job: Job) -> None:
    config = job(steps=10)
    cost = forecast(config, rate=0.1, price=30).as_dict()
    assert cost["seconds"] == 1440
    assert cost["gpu_hours"] == 0.4
    assert cost["cost"] == 12
    shared = forecast(config.model_copy(update={"num_gpus_per_actor": 0.5}), rate=0.1, price=30)
    assert shared.as_dict()["cost"] == 6
    text = shared.as_text()
    assert (text["time of one actor"], text["GPU hours"], text["cost"]) == (
        "24 min 0 s",
        "0.20 h",
        "6.00 in the unit of --price",
    )
    assert "time" not in text


def test_a_rate_of_a_run_with_other_options_is_noted_on_one_line(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    run, measured = job(steps=10), '{"session": {"actor_rate": 3.0}}'
    begun = prepare(run)
    begin_run(Output(run.output), begun, begun.plan)
    Output(run.output).write(SUMMARY, measured.encode())
    for rate in (run.output, f"{run.output}/summary.json"):
        forecast(run, rate=rate)
        assert not capsys.readouterr().err
        forecast(job(steps=20, size=128), rate=rate)
        assert capsys.readouterr().err == (
            f"--rate {rate}: the run has size 64, not 128; steps 10, not 20: its rate may not hold "
            "here\n"
        )


def test_shards_are_cut_by_their_time_on_the_requested_device(job: Job, pictures: Path) -> None:
    for seed in range(6, 15):
        draw(pictures / "content" / f"{seed}.png", seed)

    def shards(rate: float | None = None, **options: Any) -> int:
        config = job(steps=50, size=512, shard_pairs=200, **options)
        return forecast(config, rate).as_dict()["shards"]

    assert shards() == 1, "a GPU takes seconds"
    assert shards(device="cpu") >= 8
    assert shards(num_gpus_per_actor=0) >= 8
    assert shards(rate=0.5) > 8


@pytest.mark.parametrize(
    ("options", "said", "message"),
    [
        ({}, {"rate": 0}, "--rate 0: must be above 0"),
        ({}, {"rate": float("nan")}, "--rate nan"),
        ({}, {"rate": "inf"}, "--rate inf: must be above 0 and finite"),
        ({}, {"rate": 1, "price": float("inf")}, "--price inf: must be above 0 and finite"),
        ({}, {"rate": 1, "price": -1}, "--price -1: must be above 0"),
        ({}, {"price": 1}, "--price needs --rate or --calibrate"),
        ({}, {"rate": 1, "calibrate": True}, "give one of them"),
        ({"device": "cpu"}, {"rate": 1, "price": 1}, "uses no GPU"),
        ({"num_gpus_per_actor": 0}, {"rate": 1, "price": 1}, "uses no GPU"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    job: Job, options: dict[str, Any], said: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        forecast(job(**options), **said)


def test_the_rate_is_measured_on_the_model_of_the_job(job: Job, tiny_model: Path) -> None:
    rate = measure_rate(prepare(job(model=str(tiny_model))), seconds=0.2)
    assert rate > 1


def test_the_plan_names_the_variants_of_a_pair_with_several(job: Job) -> None:
    one, three = forecast(job()), forecast(job(gamma="0.3,0.6,0.9", shard_pairs=6))
    assert "variants" not in one.as_text() | one.as_dict()
    assert three.as_text()["variants"] == "3 per content and style"
    numbers = three.as_dict()
    assert (numbers["variants"], numbers["pairs"]) == (3, 18)
    assert numbers["inversions"] == one.as_dict()["inversions"]
