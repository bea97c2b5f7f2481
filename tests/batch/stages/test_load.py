"""Pictures come to working size one by one, within bounds of bytes, and with their reasons."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.stages.load import ByteBudget, Load, load_memory
from styleid_ray.batch.stages.shard import PICTURES, Shard, shards_in
from styleid_ray.datasets.pictures import list_pictures
from styleid_ray.imaging import decode, decoding_memory, fit_picture
from tests.batch.conftest import draw

Job = Callable[..., JobConfig]


def shard(contents: list[str], **columns: list[str | None]) -> Shard:
    """Pairs of these contents with one style."""
    styles = ["s.png"] * len(contents)
    return Shard("shard-1", pa.table({"content": contents, "style": styles, **columns}))


@pytest.fixture
def load(job: Job) -> Callable[..., Load]:
    def make(**options: object) -> Load:
        config = job(**options)
        contents, styles = (list_pictures(str(getattr(config, r)), r) for r in ("content", "style"))
        return Load(contents, styles, config, 8)

    return make


def test_each_picture_of_a_shard_is_loaded_once_with_its_sizes(load: Callable[..., Load]) -> None:
    stage = load()
    done = stage.load(shard(["a.png", "b.png", "a.png"]))
    rows = {(row["role"], row["key"]): row for row in done.pictures.to_pylist()}
    assert list(rows) == [("content", "a.png"), ("content", "b.png"), ("style", "s.png")]
    assert done.pictures.schema == PICTURES
    source = Path(stage.sources["content"].url("b.png"))
    image = decode(source.read_bytes(), 10**6)
    expected = fit_picture(image, 64, "keep", 8)
    row = rows["content", "b.png"]
    assert (row["source_width"], row["source_height"]) == image.size == (64, 100)
    assert (row["width"], row["height"]) == expected.size
    assert row["pixels"] == np.asarray(expected).tobytes()
    assert done.measures["bytes_in"] == sum(
        os.path.getsize(stage.sources[role].url(key)) for role, key in rows
    )
    (back,) = shards_in(done.to_block())
    assert back.pictures.equals(done.pictures)


def test_with_tiles_contents_come_to_the_whole_size_and_styles_to_that_of_a_tile(
    load: Callable[..., Load],
) -> None:
    done = load(size=128, tile=64, fit="crop").load(shard(["a.png"]))
    rows = {row["role"]: row for row in done.pictures.to_pylist()}
    assert (rows["content"]["width"], rows["content"]["height"]) == (128, 128)
    assert (rows["style"]["width"], rows["style"]["height"]) == (64, 64)


def test_a_dead_link_and_a_file_above_the_bound_are_rows_with_their_reasons(
    load: Callable[..., Load], pictures: Path
) -> None:
    small = max(path.stat().st_size for path in pictures.rglob("*.png"))
    (pictures / "content" / "large.png").write_bytes(bytes(small + 1))
    stage = load(max_bytes=small)
    done = stage.load(shard(["a.png", "gone.png", "large.png"]))
    rows = {row["key"]: row for row in done.pictures.to_pylist()}
    assert rows["a.png"]["pixels"]
    assert rows["gone.png"]["message"] == "content gone.png: the file does not exist"
    assert rows["large.png"]["stage"] == "fetch"
    assert rows["large.png"]["message"].endswith(f"more than {small:,} bytes (--max-bytes)")


def test_pictures_that_changed_since_they_were_planned_are_counted_and_the_first_is_named(
    load: Callable[..., Load], pictures: Path
) -> None:
    names = ["a.png", "b.png", "deep/a.jpg"]
    listed = list_pictures(str(pictures / "content"), "content")
    versions = dict(zip(listed.keys, listed.versions or (), strict=True))
    known = [versions["a.png"], versions["b.png"], None]
    draw(pictures / "content" / "b.png", 9, (90, 90))
    draw(pictures / "content" / "deep" / "a.jpg", 9)
    stage = load()
    done = stage.load(shard(names, content_version=known))
    assert done.measures["changed_sources"] == 1
    assert done.notes == ("content b.png has changed since it was planned",)
    unknown = stage.load(shard(names))
    assert "changed_sources" not in unknown.measures
    assert unknown.notes == ()


def test_an_animation_gives_its_first_frame_and_is_counted_and_noted(
    load: Callable[..., Load], pictures: Path
) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    frames[0].save(pictures / "content" / "moves.gif", save_all=True, append_images=frames[1:])
    done = load().load(shard(["a.png", "moves.gif"]))
    row = next(row for row in done.pictures.to_pylist() if row["key"] == "moves.gif")
    assert row["pixels"][:3] == bytes((255, 0, 0))
    assert done.measures["sources_with_frames"] == 1
    (note,) = done.notes
    assert "their first frame is used" in note


def test_threads_share_bytes_and_one_that_asks_for_more_than_all_is_alone() -> None:
    budget, most, held = ByteBudget(10), 0, 0
    lock, both = threading.Lock(), threading.Barrier(2, timeout=60)

    def work(count: int) -> None:
        nonlocal most, held
        with budget.taking(count):
            with lock:
                held += min(count, 10)
                most = max(most, held)
            if count == 5:
                both.wait()  # two of these fit
            with lock:
                held -= min(count, 10)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [5, 5, 99, 7, 5, 5, 7, 99]))
    assert most == 10
    assert budget.free == 10


@pytest.mark.parametrize(("mode", "copies"), [("RGB", 2), ("L", 2), ("RGBA", 4), ("P", 4)])
def test_memory_for_decoding_is_judged_by_the_header_alone(mode: str, copies: int) -> None:
    file = io.BytesIO()
    Image.new(mode, (300, 200)).save(file, "PNG")
    assert decoding_memory(file.getvalue()[:200], 10**6) == 300 * 200 * 4 * copies


def test_the_memory_of_loading_is_about_the_same_at_every_working_size(job: Job) -> None:
    needs = {size: load_memory(job(size=size)) for size in (256, 512, 1024, 2048, 4096)}
    assert all(2**30 < need < 1.5 * 2**30 for need in needs.values())


def mask(path: Path, size: tuple[int, int] = (80, 72), mode: str = "L") -> Path:
    """Writes a mask whose left half is white."""
    image = Image.new("L", size)
    image.paste(255, (0, 0, size[0] // 2, size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.convert(mode).save(path)
    return path


def rows_of(shard: Shard) -> dict[tuple[str, str], dict[str, object]]:
    return {(row["role"], row["key"]): row for row in shard.pictures.to_pylist()}


@pytest.mark.parametrize("fit", ["keep", "crop"])
def test_a_mask_is_loaded_once_in_the_geometry_of_its_content(
    load: Callable[..., Load], pictures: Path, fit: str
) -> None:
    mask(pictures / "masks" / "a.png")
    stage = load(masks=str(pictures / "masks"), fit=fit)
    rows = rows_of(stage.load(shard(["a.png", "a.png"])))
    assert list(rows) == [("content", "a.png"), ("style", "s.png"), ("mask", "a.png")]
    content, made = rows["content", "a.png"], rows["mask", "a.png"]
    names = ("width", "height", "source_width", "source_height")
    assert [made[n] for n in names] == [content[n] for n in names]
    pixels = np.frombuffer(made["pixels"], np.uint8).reshape(made["height"], made["width"])  # pyright: ignore
    middle = pixels.shape[1] // 2
    assert (pixels[:, : middle - 2] == 255).all()
    assert (pixels[:, middle + 2 :] == 0).all()


def test_a_mask_that_the_plan_names_is_read_in_place_of_the_contents_own(
    load: Callable[..., Load], pictures: Path
) -> None:
    mask(pictures / "masks" / "people" / "1.png")
    mask(pictures / "masks" / "a.png", size=(5, 5))
    stage = load(masks=str(pictures / "masks"))
    named = rows_of(stage.load(shard(["a.png"], content_mask=["people/1.png"])))
    assert named["mask", "a.png"]["pixels"]
    own = rows_of(stage.load(shard(["a.png"], content_mask=[None])))
    assert "5 x 5 pixels" in str(own["mask", "a.png"]["message"])


def test_a_mask_of_another_size_missing_or_damaged_is_a_row_of_its_own(
    load: Callable[..., Load], pictures: Path
) -> None:
    mask(pictures / "masks" / "a.png", (40, 36))
    (pictures / "masks" / "deep").mkdir()
    (pictures / "masks" / "deep" / "a.png").write_bytes(b"no picture")
    stage = load(masks=str(pictures / "masks"))
    rows = rows_of(stage.load(shard(["a.png", "b.png", "deep/a.jpg"])))
    assert all(row["pixels"] for (role, _), row in rows.items() if role != "mask")
    errors = {key: (row["stage"], row["message"]) for (r, key), row in rows.items() if r == "mask"}
    assert errors == {
        "a.png": (
            "decode",
            "mask a.png: it is 40 x 36 pixels, but its content is 80 x 72 (upright): a mask must "
            "have its content's size",
        ),
        "b.png": (
            "fetch",
            "mask b.png: the file does not exist: add it to --masks, then styleid-ray retry",
        ),
        "deep/a.jpg": (
            "decode",
            "mask deep/a.png: not a picture in any format that can be read",
        ),
    }


def test_a_label_map_holds_regions_that_are_not_blended(
    load: Callable[..., Load], pictures: Path
) -> None:
    rng = np.random.default_rng(0)
    classes = Image.fromarray(rng.integers(0, 4, (72, 80), np.uint8))
    (pictures / "labels").mkdir()
    classes.save(pictures / "labels" / "a.png")
    stage = load(
        pairing="table",
        table="t.csv",
        label_masks=str(pictures / "labels"),
        region_styles="1=style2,3=style3",
    )
    further = shard(["a.png"], style2=["t.png"], style3=["s.png"], style2_place=[None])
    rows = rows_of(stage.load(further))
    assert [key for role, key in rows if role == "style"] == ["s.png", "t.png"]
    row = rows["label_map", "a.png"]
    pixels = np.frombuffer(row["pixels"], np.uint8).reshape(row["height"], row["width"])  # pyright: ignore
    expected = fit_picture(classes, 64, "keep", 8, Image.Resampling.NEAREST)
    assert (pixels == np.array([0, 1, 0, 2])[np.asarray(expected)]).all()


def test_a_second_style_is_loaded_once_whichever_column_names_it(load: Callable[..., Load]) -> None:
    both = shard(["a.png", "b.png"], style2=["t.png", None], style2_version=[None, None])
    rows = rows_of(load().load(both))
    assert [key for role, key in rows if role == "style"] == ["s.png", "t.png"]
    assert all(row["pixels"] for row in rows.values())


def test_masks_come_from_a_bucket_with_the_storage_options_of_the_job(
    load: Callable[..., Load],
    pictures: Path,
    s3: str,
    s3_options: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(mask(pictures / "a.png")), f"{s3}/masks/a.png")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    stage = load(masks=f"{s3}/masks", storage_options=s3_options)
    assert rows_of(stage.load(shard(["a.png"])))["mask", "a.png"]["pixels"]
