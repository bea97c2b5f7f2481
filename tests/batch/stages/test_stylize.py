"""The actor's work in this process, without Ray."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from styleid_ray import JobConfig, StyleIDPipeline
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.stages.engine import load_pipeline
from styleid_ray.batch.stages.pairs import Pairs, Picture
from styleid_ray.batch.stages.shard import PICTURES, Shard
from styleid_ray.batch.stages.stylize import Stylize

Job = Callable[..., JobConfig]
ON_CPU = Resources(1, 1, 0, 1)


@pytest.fixture
def actor(job: Job) -> Stylize:
    return Stylize(job(batch=2), None, ON_CPU)


def pipe_of(actor: Stylize) -> Any:
    """The actor's `StyleIDPipeline`."""
    return actor.device.pipe


@pytest.mark.parametrize(("option", "compile"), [("auto", "auto"), ("on", True), ("off", False)])
def test_an_actor_compiles_as_requested_or_by_its_expected_evaluations(
    job: Job, monkeypatch: pytest.MonkeyPatch, option: str, compile: object
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        StyleIDPipeline, "from_pretrained", lambda *args, **more: given.update(more)
    )
    load_pipeline(job(compile=option), None, replace(ON_CPU, evaluations=4000))
    assert (given["compile"], given["evaluations"]) == (compile, 4000)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def shard(pairs: list[tuple[str, str]], failed: str = "") -> Shard:
    rows = []
    for role, at in (("content", 0), ("style", 1)):
        for key in dict.fromkeys(pair[at] for pair in pairs):
            row = {"role": role, "key": key, "width": 64, "height": 64}
            row |= {"source_width": 80, "source_height": 80, "pixels": picture(ord(key)).tobytes()}
            broken = {"stage": "decode", "error": "OSError", "message": "no picture"}
            rows.append({"role": role, "key": key, **broken} if key == failed else row)
    nothing = pa.nulls(len(pairs), pa.float64())
    table = {"content": [c for c, _ in pairs], "style": [s for _, s in pairs]}
    return Shard(
        "shard-1",
        pa.table({**table, "gamma": nothing, "temperature": nothing}),
        pa.Table.from_pylist(rows, schema=PICTURES),
    )


def test_an_actor_without_a_gpu_of_its_own_computes_on_the_cpu(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    actor = Stylize(job(num_gpus_per_actor=0), None, ON_CPU)
    assert pipe_of(actor).device.type == "cpu"


def test_each_pair_has_its_picture_or_the_reason_of_the_picture_that_failed(actor: Stylize) -> None:
    pairs = [("a", "s"), ("b", "s"), ("a", "t"), ("b", "t")]
    done = actor.stylize(shard(pairs, failed="b"))
    rows = done.results.to_pylist()
    assert [row["message"] for row in rows] == [None, "no picture", None, "no picture"]
    pipe, at = pipe_of(actor), {key: Image.fromarray(picture(ord(key))) for key in "ast"}
    expected = pipe([at["a"]], [at["s"], at["t"]], params=actor.params)
    for row, image in zip(rows[::2], expected, strict=True):
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(64, 64, 3)
        assert np.abs(pixels.astype(int) - np.asarray(image)).max() <= 1
        assert row["seconds"] > 0
        assert 0 <= row["quality"]["structure"] <= 1
        assert all(value is not None for value in row["quality"].values())
    assert [row["quality"] for row in rows[1::2]] == [None, None]
    assert done.pictures.num_rows == 0


def test_pairs_whose_values_are_not_finite_fail_alone(actor: Stylize) -> None:
    decode, broken = pipe_of(actor).vae.decode, [True]

    def decode_or_break(z: torch.Tensor, **options: object) -> tuple[torch.Tensor]:
        (x,) = decode(z, **options)
        if broken.pop() if broken else False:
            x[0] = torch.nan
        return (x,)

    pipe_of(actor).vae.decode = decode_or_break
    done = actor.stylize(shard([("a", "s"), ("b", "s"), ("c", "s")]))
    errors = [row["error"] for row in done.results.to_pylist()]
    assert sorted(errors, key=str) == ["NonFiniteResult", None, None]


def test_pictures_come_out_before_the_last_pair_of_the_work_is_begun(actor: Stylize) -> None:
    pipe, taken = pipe_of(actor), threading.Event()
    batches: list[int] = []
    decode = pipe.autoencoder.decode

    def decode_and_wait(latents: Any, *rest: Any) -> None:
        decode(latents, *rest)
        batches.append(len(latents))
        assert taken.wait(60), "nothing was taken while the device went on"

    pipe.autoencoder.decode = decode_and_wait
    pictures = [Picture.of(picture(seed)) for seed in range(6)]
    work = actor.device.stylize(
        Pairs(pictures[:5], pictures[5:], [(i, (0,)) for i in range(5)], [actor.params] * 5)
    )
    results = iter(work)
    next(results)
    assert sum(batches) < 5
    taken.set()
    assert len(list(results)) == 4
    assert work.measures["unet_evaluations"] == pipe.unet_evaluations


def test_an_error_of_the_device_while_the_next_work_is_prepared_ends_the_process(
    actor: Stylize, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        pass

    def end(reason: str, report: object) -> None:
        raise Ended(reason)

    def fail(*args: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("styleid_ray.batch.stages.device.end_process", end)
    monkeypatch.setattr(torch.Tensor, "to", fail)
    pictures = [Picture.of(picture(seed)) for seed in range(2)]
    with pytest.raises(Ended, match="illegal memory access"):
        actor.device.stylize(Pairs(pictures[:1], pictures[1:], [(0, (0,))], [actor.params]))


def test_equal_pictures_have_equal_keys_wherever_they_come_from() -> None:
    pixels = picture(1)
    assert Picture.of(pixels).key == Picture.of(np.asarray(Image.fromarray(pixels))).key
    assert Picture.of(pixels).key != Picture.of(pixels.reshape(32, 128, 3)).key


def test_the_time_between_two_shards_is_not_busy_time(actor: Stylize) -> None:
    first, second = (actor.stylize(shard([("a", "s")])).measures for _ in range(2))
    assert first["waiting_seconds"] == 0
    assert second["waiting_seconds"] > 0
    assert second["actor_seconds"] == pytest.approx(
        second["stylize_seconds"] + second["waiting_seconds"], rel=0.1
    )


def beside(shard: Shard, role: str, key: str, pixels: np.ndarray | None) -> Shard:
    """The shard with a mask of a content; None for one that failed."""
    row: dict[str, Any] = {"role": role, "key": key, "width": 64, "height": 64}
    if pixels is None:
        row |= {"stage": "fetch", "error": "FileNotFoundError", "message": "no mask"}
    else:
        row["pixels"] = pixels.tobytes()
    more = pa.Table.from_pylist([row], schema=PICTURES)
    return replace(shard, pictures=pa.concat_tables([shard.pictures, more]))


def pixels_of(done: Shard) -> list[Any]:
    """One array per pair, or None for one that failed."""
    rows = done.results.to_pylist()
    return [
        None if row["pixels"] is None else np.frombuffer(row["pixels"], np.uint8).astype(int)
        for row in rows
    ]


def test_a_mask_that_is_white_changes_nothing_and_one_that_is_black_keeps_the_content(
    job: Job,
) -> None:
    actor = Stylize(job(batch=2, masks="masks", steps=10), None, ON_CPU)
    white, black = np.full((64, 64), 255, np.uint8), np.zeros((64, 64), np.uint8)
    pairs = shard([("a", "s"), ("b", "s"), ("c", "s")])
    for key, pixels in (("a", white), ("b", black), ("c", None)):
        pairs = beside(pairs, "mask", key, pixels)
    done = actor.stylize(pairs)
    stylised, kept, failed = pixels_of(done)
    assert failed is None
    assert done.results["message"].to_pylist()[2] == "no mask"
    pipe = pipe_of(actor)
    a, b, s = (Image.fromarray(picture(ord(key))) for key in "abs")
    (plain,) = pipe([a], [s], params=actor.params)
    assert np.abs(stylised - np.asarray(plain).ravel()).max() <= 1
    (coded,) = pipe.decode(pipe.encode([b]))
    (other,) = pipe([b], [s], params=actor.params)
    apart = [np.abs(kept - np.asarray(x).ravel()).mean() for x in (coded, other)]
    assert apart[0] < 0.2 * apart[1]


def test_a_second_style_of_the_plan_is_mixed_in_and_its_failure_is_its_pairs_alone(
    actor: Stylize,
) -> None:
    def mixed(weight: float, failed: str = "") -> Shard:
        rows = shard([("a", "s"), ("a", "t")], failed)
        columns = {"style2": ["t", None], "weight": [weight, None], "style2_version": [None, None]}
        pairs = rows.pairs
        for name, values in columns.items():
            kind = pa.float64() if name == "weight" else pa.string()
            pairs = pairs.append_column(name, pa.array(values, kind))
        return replace(rows, pairs=pairs)

    apart: list[float] = []
    for weight in (0.1, 0.5, 0.9):
        both, second = pixels_of(actor.stylize(mixed(weight)))
        apart.append(float(np.abs(both - second).mean()))
    assert apart[0] > apart[1] > apart[2] > 0
    assert [row is None for row in pixels_of(actor.stylize(mixed(0.5, "t")))] == [True, True]
    assert [row is None for row in pixels_of(actor.stylize(mixed(0.5, "s")))] == [True, False]


def test_each_region_of_a_label_map_has_its_own_style(job: Job) -> None:
    options = {"label_masks": "labels", "region_styles": "1=style2", "pairing": "table"}
    actor = Stylize(job(**options, table="t.csv", steps=10), None, ON_CPU)
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 1
    rows = beside(shard([("a", "s"), ("a", "s"), ("a", "t")]), "label_map", "a", left)
    own = rows.pairs.append_column("style2", pa.array(["t", "s", "t"]))
    both, all_s, all_t = (
        np.reshape(x, (64, 64, 3)) for x in pixels_of(actor.stylize(replace(rows, pairs=own)))
    )

    def apart(one: np.ndarray, other: np.ndarray, part: slice) -> float:
        return float(np.abs(one - other)[:, part].mean())

    west, east = slice(0, 28), slice(36, 64)
    assert apart(both, all_t, west) < 0.7 * apart(both, all_s, west)
    assert apart(both, all_s, east) < 0.7 * apart(both, all_t, east)
