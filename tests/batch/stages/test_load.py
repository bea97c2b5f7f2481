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
from styleid_ray.batch.stages.budget import ByteBudget
from styleid_ray.batch.stages.load import Load, load_memory
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
