from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as pads
import pytest
from PIL import Image

from styleid_ray import JobConfig


def draw(path: Path, seed: int, size: tuple[int, int] = (80, 72)) -> Path:
    """Writes a picture of a few coloured blocks."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with content/ (3 pictures, one in a subfolder) and style/ (2 pictures)."""
    draw(tmp_path / "content" / "a.png", 1)
    draw(tmp_path / "content" / "b.png", 2, (64, 100))
    draw(tmp_path / "content" / "deep" / "a.jpg", 3)
    draw(tmp_path / "style" / "s.png", 4)
    draw(tmp_path / "style" / "t.png", 5, (120, 64))
    return tmp_path


@pytest.fixture
def job(pictures: Path) -> Callable[..., JobConfig]:
    """A small job on the pictures; keyword arguments override its options, None leaves one out."""

    def make(**options: Any) -> JobConfig:
        defaults: dict[str, Any] = {
            "content": str(pictures / "content"),
            "style": str(pictures / "style"),
            "output": str(pictures / "out"),
            "model": "demo",
            "size": 64,
            "steps": 2,
            "shard_pairs": 2,
        }
        given = defaults | options
        return JobConfig(**{name: value for name, value in given.items() if value is not None})

    return make


@pytest.fixture
def quick_job(job: Callable[..., JobConfig]) -> Callable[..., JobConfig]:
    """A small job of a colour transfer, whose actors load no model: for facts about runs."""
    return partial(job, method="reinhard", model=None, steps=None)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once and then copied."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def finished(job: Callable[..., JobConfig], pictures: Path, templates: Path) -> Path:
    """The output of `job()`, as if it had just run: 6 pairs in 3 shards. Needs Ray."""
    from styleid_ray.batch.run import stylize

    output, template = Path(job().output), templates / "finished"
    if not template.exists():
        stylize(job(), io.StringIO())
        shutil.copytree(output, template)
        (template / "made-in").write_text(str(pictures))
        return output
    shutil.copytree(template, output)
    former = (output / "made-in").read_text()
    (output / "made-in").unlink()
    for file in (output / "_run" / "config.yaml", output / "summary.json"):
        file.write_text(file.read_text().replace(former, str(pictures)))
    return output


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, not there yet, in which this machine keeps models of object stores."""
    monkeypatch.setenv("STYLEID_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def stored_model(s3: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the tiny model in a bucket, put there without checksums that S3's client compares."""
    import s3fs

    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().put(str(tiny_model), f"{s3}/models/tiny", recursive=True)
    return f"{s3}/models/tiny"


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One Ray for the tests of a module."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def same_pictures(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """The same ids, and pixels that differ by rounding at most: batches are put together otherwise
    after a resume."""
    assert a.keys() == b.keys()
    apart = {key: int(np.abs(a[key].astype(int) - b[key]).max()) for key in a}
    assert {key: most for key, most in apart.items() if most > 1} == {}


def pictures_of(output: Path) -> dict[str, np.ndarray]:
    """Pixels by pair, of either format; a repeated pair is an error."""
    table = pads.dataset(output / "data", format="parquet").to_table(["pair_id", "image"])
    found: dict[str, np.ndarray] = {}
    for row in table.to_pylist():
        assert row["pair_id"] not in found, f"{row['pair_id']} was committed twice"
        data = row["image"]["bytes"] or (output / row["image"]["path"]).read_bytes()
        found[row["pair_id"]] = np.asarray(Image.open(io.BytesIO(data)))
    return found
