"""What a plan reads is known where the filesystem tells the sizes of files."""

from __future__ import annotations

import pytest

from styleid_ray.config import JobConfig
from styleid_ray.planning import Source, build_plan, list_pictures
from styleid_ray.planning.sizes import bytes_read, file_sizes


@pytest.fixture
def job(folder):
    """A job on contents of 1000 bytes and more, and styles of 10 bytes and more."""

    def make(**rest) -> JobConfig:
        for role, count, size in (("content", 4, 1000), ("style", 6, 10)):
            for i in range(count):
                folder(role, []).joinpath(f"{i}.png").write_bytes(bytes(size + i))
        root = folder("content", []).parent
        return JobConfig(
            content=str(root / "content"), style=str(root / "style"), output="out", **rest
        )

    return make


CONTENTS, STYLES = 4006, 75


def test_a_picture_is_read_once_for_each_shard_that_has_it(job):
    assert bytes_read(build_plan(job(), "print")) == CONTENTS + STYLES
    tiles = build_plan(job(shard_pairs=6), "print")  # 2 x 3
    assert bytes_read(tiles) == 2 * CONTENTS + 2 * STYLES
    assert bytes_read(build_plan(job(shard_pairs=1), "print")) == 6 * CONTENTS + 4 * STYLES


def test_an_object_store_tells_sizes_in_its_listing(bucket):
    url = bucket(["in/a.png", "in/deep/b.png"], b"12345")
    sizes = file_sizes(list_pictures(f"{url}/in", "content"))
    assert sizes is not None
    assert sizes.tolist() == [5, 5]


@pytest.mark.parametrize(
    "source",
    [
        Source("https://127.0.0.1:1/in/", ("a.png",)),
        Source("s3://127.0.0.1/in", ("s3://other/a.png",)),
        Source("/no/such/folder", ("a.png",)),
        Source("/no/such/folder", ("s3://other/a.png",)),
    ],
)
def test_what_is_not_told_in_one_listing_is_unknown(source):
    assert file_sizes(source) is None
