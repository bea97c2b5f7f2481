"""Nearest and farthest styles equal the result of a comparison with every style."""

from __future__ import annotations

import io
import pickle
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.options import in_threads
from styleid_ray.errors import SourceError
from styleid_ray.imaging.decode import thumbnail
from styleid_ray.planning import gather as gathering
from styleid_ray.planning import similar
from styleid_ray.planning.choice import Earlier
from styleid_ray.planning.pairing import Pairs, make_pairs
from styleid_ray.planning.similar import closest
from styleid_ray.planning.statistics import SIDE, SIZE, Standard, statistics
from styleid_ray.storage.store import Store


def picture(seed: int) -> Image.Image:
    """Blobs of a random colour, size and contrast."""
    rng = np.random.default_rng(seed)
    colour, contrast = rng.uniform(20, 235, 3), rng.uniform(10, 90)
    cells = rng.normal(size=(*rng.integers(2, 30, 2), 3)) * contrast + colour
    blobs = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    return blobs.resize((96, 80), Image.Resampling.BICUBIC)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Folders content and style of 8 and 6 pictures."""
    for role, count, offset in (("content", 8, 0), ("style", 6, 100)):
        (tmp_path / role).mkdir()
        for i in range(count):
            picture(offset + i).save(tmp_path / role / f"{i}.png")
    return tmp_path


def options(root: Path | str, **rest) -> SourceOptions:
    asked = {"pairing": "nearest", "styles_per_content": 2, **rest}
    return SourceOptions(content=f"{root}/content", style=f"{root}/style", **asked)


def rows(pairs: Pairs) -> set[tuple[str, str]]:
    table = pairs.table.select(["content", "style"]).to_pylist()
    return {(row["content"], row["style"]) for row in table}


class Counting:
    """Threads, with the number of pictures that were looked at."""

    def __init__(self) -> None:
        self.pictures = 0

    def __call__(self, function, items: Sequence):
        for result in in_threads(function, items):
            if isinstance(result, tuple):
                self.pictures += len(result[0])
            yield result


@pytest.mark.parametrize("pairing", ["nearest", "farthest"])
def test_the_styles_are_those_of_a_comparison_with_every_style(sources, pairing):
    found = rows(make_pairs(options(sources, pairing=pairing)))
    of_contents, of_styles = (
        np.stack(
            [
                statistics(thumbnail((sources / role / f"{i}.png").read_bytes(), 10**6, SIDE))
                for i in range(count)
            ]
        )
        for role, count in (("content", 8), ("style", 6))
    )
    contents, styles = map(Standard.of(of_styles), (of_contents, of_styles))
    distances = np.linalg.norm(contents[:, None] - styles, axis=2)
    order = np.argsort(distances if pairing == "nearest" else -distances, axis=1)
    assert found == {(f"{c}.png", f"{s}.png") for c in range(8) for s in order[c, :2]}


@pytest.mark.parametrize("farthest", [False, True])
@pytest.mark.parametrize("at_once", [2**23, 100])
def test_the_search_finds_what_brute_force_finds(monkeypatch, farthest, at_once):
    monkeypatch.setattr(similar, "_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    contents, styles = rng.normal(size=(40, SIZE)), rng.normal(size=(60, SIZE))
    distances = ((contents[:, None] - styles) ** 2).sum(axis=2)
    order = np.argsort(-distances if farthest else distances, axis=1)
    assert (closest(contents, styles, 5, farthest) == order[:, :5]).all()


def test_equally_distant_styles_are_taken_by_name():
    styles = np.random.default_rng(0).normal(size=(50, SIZE))
    styles[[7, 11, 30, 41]] = styles[3]
    assert closest(styles[3:4], styles, 3).tolist() == [[3, 7, 11]]


def test_styles_that_are_all_alike_take_little_memory():
    same = np.ones((600, SIZE))
    tracemalloc.start()
    chosen = closest(same, same, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (chosen == [0, 1]).all()
    assert peak < 600 * 600 * SIZE * 8


def test_contents_are_brought_to_scale_in_parts_with_the_same_outcome(sources, monkeypatch):
    whole = rows(make_pairs(options(sources)))
    monkeypatch.setattr(similar, "_CONTENTS", 3)
    assert rows(make_pairs(options(sources))) == whole


def test_a_task_carries_the_names_of_its_own_pictures_alone(sources, monkeypatch):
    monkeypatch.setattr(gathering, "_TOGETHER", 1)
    sizes: list[int] = []

    def spread(function, items):
        sizes.extend(len(pickle.dumps(item)) for item in items if isinstance(item, tuple))
        return in_threads(function, items)

    for i in range(8, 30):
        picture(i).save(sources / "content" / f"{'long' * 40}{i}.png")
    make_pairs(options(sources), None, spread)
    assert len(sizes) == 36
    assert max(sizes) < 1500 < 22 * 160


def test_a_new_content_leaves_the_pairs_of_the_others_and_a_nearer_style_adds_some(sources):
    before = rows(make_pairs(options(sources, styles_per_content=1)))
    picture(50).save(sources / "content" / "new.png")
    after = rows(make_pairs(options(sources, styles_per_content=1)))
    assert before < after
    assert len(after) == 9
    picture(3).save(sources / "style" / "same as 3.png")
    assert ("3.png", "same as 3.png") in rows(make_pairs(options(sources, styles_per_content=1)))


def test_pictures_that_cannot_be_read_are_reported_and_never_chosen(sources):
    (sources / "content" / "3.png").write_bytes(b"no picture")
    (sources / "style" / "2.png").write_bytes(b"")
    pairs = make_pairs(options(sources))
    assert pairs.notes == (
        "1 of 8 contents cannot be read to be compared: they get styles at random",
        "1 of 6 styles cannot be read to be compared: they are not chosen",
    )
    assert sum(content == "3.png" for content, _ in rows(pairs)) == 2
    assert not [style for _, style in rows(pairs) if style == "2.png"]
    with pytest.raises(SourceError, match="only 5 of 6 pictures of --style can be read"):
        make_pairs(options(sources, styles_per_content=6))


def test_a_link_in_a_circle_or_a_damaged_parquet_file_does_not_stop_the_planning(sources):
    (sources / "content" / "3.png").unlink()
    (sources / "content" / "3.png").symlink_to("3.png")
    rows_of = [{"image": {"bytes": b"x" * 5000, "path": "a.png"}}]
    table = sources / "content" / "part.parquet"
    pq.write_table(pa.Table.from_pylist(rows_of), table, use_dictionary=False)
    data = bytearray(table.read_bytes())
    data[4:24] = bytes(20)
    table.write_bytes(data)
    for kind in ("folder", "parquet"):
        pairs = make_pairs(options(sources, content_format=kind))
        assert pairs.notes[0].startswith("1 of ")


@pytest.fixture
def fetch_fails_with(sources, monkeypatch):
    """Gives content/3.png an error when it is fetched; the sources are at memory://similar."""
    memory = MemoryFileSystem()
    memory.put(str(sources), "/similar", recursive=True)
    cat = MemoryFileSystem.cat_file

    def fail(error: Exception) -> None:
        def cat_file(self, path, **options):
            if path.endswith("content/3.png"):
                raise error
            return cat(self, path, **options)

        monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)

    yield fail
    memory.rm("/similar", recursive=True)


@pytest.mark.parametrize("error", [PermissionError("token expired"), ValueError("no such region")])
def test_a_content_that_cannot_be_fetched_stops_the_planning(fetch_fails_with, error):
    fetch_fails_with(error)
    match = "--content: 3.png cannot be fetched to be compared .*: check the credentials"
    with pytest.raises(SourceError, match=match):
        make_pairs(options("memory://similar"))


def test_a_content_that_is_missing_does_not_stop_the_planning(fetch_fails_with):
    fetch_fails_with(FileNotFoundError())
    pairs = make_pairs(options("memory://similar"))
    assert pairs.notes[0].startswith("1 of 8 contents cannot be read")


def test_statistics_are_computed_once_for_each_version_of_a_picture(sources):
    store, counting = Earlier(store=Store(str(sources / "out"))), Counting()
    first = make_pairs(options(sources), None, counting, store)
    assert counting.pictures == 14
    assert rows(make_pairs(options(sources), None, counting, store)) == rows(first)
    assert counting.pictures == 14
    picture(60).save(sources / "content" / "new.png")
    picture(61).save(sources / "style" / "1.png")
    changed = rows(make_pairs(options(sources), None, counting, store))
    assert counting.pictures == 16
    assert changed == rows(make_pairs(options(sources)))


def test_a_planning_that_was_cut_off_resumes_from_stored_statistics(sources, monkeypatch):
    monkeypatch.setattr(gathering, "_TOGETHER", 1)
    monkeypatch.setattr(gathering, "_STORED_TOGETHER", 2)
    store = Earlier(store=Store(str(sources / "out")))

    def cut_off(function, items):
        yield from (function(item) for item in list(items)[:5])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_pairs(options(sources), None, cut_off, store)
    counting = Counting()
    make_pairs(options(sources), None, counting, store)
    assert counting.pictures == 14 - 4


def test_a_damaged_file_of_statistics_is_replaced(sources):
    store = Earlier(store=Store(str(sources / "out")))
    first = rows(make_pairs(options(sources), None, in_threads, store))
    for file in (sources / "out" / "_run" / "statistics").iterdir():
        file.write_bytes(b"PAR1")
    assert rows(make_pairs(options(sources), None, in_threads, store)) == first


def test_without_a_run_nothing_is_written(sources):
    make_pairs(options(sources))
    assert {path.name for path in sources.iterdir()} == {"content", "style"}


def test_colour_and_texture_tell_pictures_apart():
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    rightwards, downwards = (Image.fromarray(a).convert("RGB") for a in (ramp, ramp.T))
    a, b = statistics(rightwards), statistics(downwards)
    assert np.abs(a - b)[:9].max() < 1e-3  # colour
    assert a[10] > 0.99  # the share of the first orientation
    assert b[10] < 0.01
    grey = statistics(Image.new("RGB", (64, 64), (128, 128, 128)))
    assert np.abs(grey[:3] - [53.585, 0, 0]).max() < 0.01
    red = statistics(Image.new("RGB", (5, 1), (255, 0, 0)))
    assert np.abs(red[:3] - [53.24, 80.09, 67.2]).max() < 0.05


def test_a_jpeg_of_many_pixels_is_read_at_a_fraction_of_its_size(monkeypatch):
    buffer = io.BytesIO()
    picture(1).resize((2400, 2000)).save(buffer, "JPEG")
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr(
        sys.modules[thumbnail.__module__],
        "to_rgb",
        lambda image: (sizes.append(image.size), image.convert("RGB"))[1],
    )
    assert thumbnail(buffer.getvalue(), 10**8, 64).size == (64, 53)
    assert sizes == [(300, 250)]
