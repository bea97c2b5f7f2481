"""The first run that a stranger sees."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from styleid_ray.demo import INPUTS, copy_inputs, run_demo
from styleid_ray.errors import OutputError


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fewer and smaller pictures than a person is shown."""
    inputs = tmp_path / "inputs"
    for name in ("content/lake.png", "style/oil.png", "style/glass.png"):
        (inputs / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(INPUTS / name) as picture:
            picture.resize((64, 64)).save(inputs / name)
    monkeypatch.setattr("styleid_ray.demo.SIZE", 64)
    monkeypatch.setattr("styleid_ray.demo.INPUTS", inputs)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """A small Ray without a dashboard, unless the tests have one already."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("fast", "ray")
def test_makes_a_dataset_and_a_page_and_a_second_time_does_nothing(
    tmp_path: Path, tiny_model: Path
) -> None:
    output, screen = tmp_path / "demo", io.StringIO()
    assert run_demo(str(output), screen, model=str(tiny_model), steps=2) == 0
    assert sum(pq.read_metadata(file).num_rows for file in (output / "data").iterdir()) == 2
    page = output / "report.html"
    assert "2 of 2 pairs" in screen.getvalue()
    assert page.resolve().as_uri() in screen.getvalue()
    assert "--preset diffusers" in screen.getvalue()
    assert page.read_text().count("data:image/webp") == 5, "a content, two styles, two results"

    written = {file: file.stat().st_mtime_ns for file in (output / "data").iterdir()}
    screen = io.StringIO()
    assert run_demo(str(output), screen, model=str(tiny_model), steps=2) == 0
    assert "nothing to do" in screen.getvalue()
    assert {file: file.stat().st_mtime_ns for file in (output / "data").iterdir()} == written


def test_pictures_are_named_after_what_they_show_and_kept(tmp_path: Path) -> None:
    content, style = copy_inputs(tmp_path)
    assert sorted(p.stem for p in content.iterdir()) == ["flowers", "lake", "town"]
    assert sorted(p.stem for p in style.iterdir()) == ["glass", "oil", "swirls", "woodcut"]
    before = {p: p.stat().st_mtime_ns for p in content.iterdir()}
    copy_inputs(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in content.iterdir()} == before


def test_refuses_a_bucket() -> None:
    with pytest.raises(OutputError, match="folder on this machine"):
        run_demo("s3://bucket/demo")
