"""StyleID as a step of somebody else's pipeline."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from PIL import Image

from styleid_ray import StyleIDPipeline, StyleParams, stylize_dataset
from styleid_ray.errors import ConfigError, SourceError

QUICK: dict[str, Any] = {"model": "demo", "size": 64, "params": StyleParams(steps=2)}


@pytest.fixture(scope="module", autouse=True)
def somebodys_ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def contents(pictures: Path) -> list[Path]:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    return sorted(path for path in (pictures / "content").rglob("*") if path.is_file())


def rows_of(ds: ray.data.Dataset) -> dict[tuple[int, str], dict[str, Any]]:
    rows = list(ds.iter_rows())
    assert len({(row["label"], row["style"]) for row in rows}) == len(rows)
    return {(row["label"], row["style"]): row for row in rows}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"masks": "masks", "style_share": "0..0.8"}, "masks, style_share: no effect in stylize_"),
        ({"limit": 3, "log_to": "wandb"}, "limit, log_to: no effect in stylize_dataset"),
        ({"pairing": "balanced"}, "pairing: no effect in stylize_dataset; leave out, or run a job"),
        ({"reject": "blank>0.9"}, "reject: no effect in stylize_dataset; leave out, or run a job"),
        ({"picture_format": "jpeg", "output": "out"}, "output, picture_format: no effect in "),
        ({"model": "demo", "layers": "1-2"}, "--layers 1, 2: demo has no such decoder self"),
        (
            {"column": "x"},
            "stylize_dataset has no argument column; its own arguments are ds,",
        ),
        ({"gama": 0.3}, r"has no argument gama; did you mean gamma\?"),
        ({"size": "large"}, r"^--size: must be a whole number \(got 'large'\)$"),
        ({"gamma": "0.3..0.6"}, r"gamma 0\.3\.\.0\.6 is drawn .*: give one number or a schedule"),
    ],
)
def test_controls_that_only_a_job_has_are_refused(options: dict[str, Any], reason: str) -> None:
    ds = ray.data.from_items([{"image": "a.png"}])
    with pytest.raises(ConfigError, match=reason):
        stylize_dataset(ds, styles="nowhere", **options)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"ds": ["photo.png"]}, "stylize_dataset: ds must be a ray.data.Dataset"),
        ({"styles": ["s.png"]}, r"--style: must be text \(got \['s.png'\]\)"),
        ({"params": {"gamma": 5}}, "--gamma: must be greater than"),
        ({"styles_per_content": 0}, "--styles-per-content: must be .* 1"),
        ({"styles_per_content": -1}, "--styles-per-content: must be .* 1"),
        ({"seed": -1}, "--seed: must be .* 0"),
        ({"actors": 0}, "--actors: must be .* 1"),
        ({"actors": (4, 2)}, "--actors: the minimum 4 is above the maximum 2"),
        ({"contents_per_batch": 0}, "contents_per_batch is 0: must be a whole number from 1"),
        ({"shard_pairs": 3, "grow": 1}, "grow, shard_pairs: no effect in stylize_dataset"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(
    wrong: dict[str, Any], line: str
) -> None:
    ds = ray.data.from_items([{"image": "a.png"}])
    given: dict[str, Any] = {"ds": ds, "styles": "nowhere", **wrong}
    with pytest.raises(ConfigError, match=f"^{line}") as error:
        stylize_dataset(**given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["path", "bytes", "struct", "array"])
def test_every_row_keeps_its_columns_and_gets_a_picture_or_a_reason(
    pictures: Path, contents: list[Path], kind: str
) -> None:
    def cell(path: Path) -> Any:
        if kind == "array":
            broken = np.zeros((2, 3, 2, 2), np.uint8)
            return broken if path.stem == "broken" else np.asarray(Image.open(path).convert("RGB"))
        data = path.read_bytes()
        return {"path": str(path), "bytes": data, "struct": {"bytes": data, "path": None}}[kind]

    if kind == "array":  # Ray takes arrays of one rank in a column
        contents = [path for path in contents if path.stem != "broken"]
    items = [
        {"label": at, "picture": cell(path), "tags": [{"name": "x", "box": [1, 2]}]}
        for at, path in enumerate(contents)
    ]
    ds = stylize_dataset(
        ray.data.from_items(items),
        styles=str(pictures / "style"),
        styles_per_content=2,
        image="picture",
        **QUICK,
    )
    rows = rows_of(ds)
    assert len(rows) == 2 * len(contents)
    for (label, style), row in rows.items():
        path = contents[label]
        assert row["tags"] == [{"name": "x", "box": [1, 2]}]
        assert style in ("s.png", "t.png")
        if path.stem == "broken":
            assert "broken" in row["error"] or "content" in row["error"]
            assert row["stylized"].size == 0
        else:
            assert row["error"] is None
            assert row["stylized"].dtype == np.uint8
            assert row["stylized"].shape == (*Image.open(path).size[::-1], 3)


@pytest.mark.cluster
def test_the_pictures_are_those_of_the_engine_and_the_draw_is_repeated(pictures: Path) -> None:
    paths = sorted((pictures / "content").glob("*.png"))
    ds = ray.data.from_items([{"label": at, "image": str(p)} for at, p in enumerate(paths)])
    first, again = (
        rows_of(stylize_dataset(ds, styles=str(pictures / "style"), seed=3, **QUICK))
        for _ in range(2)
    )
    assert first.keys() == again.keys()
    pipe = StyleIDPipeline.from_pretrained("demo")
    from styleid_ray.imaging import fit_picture, restore

    for (label, style), row in first.items():
        content = Image.open(paths[label]).convert("RGB")
        both = content, Image.open(pictures / "style" / style).convert("RGB")
        fitted = [[fit_picture(x, 64, "keep", pipe.factor)] for x in both]
        (expected,) = pipe(*fitted, params=QUICK["params"])
        expected = np.asarray(restore(expected, *content.size, "keep"))
        assert np.abs(expected.astype(int) - row["stylized"]).max() <= 1


def test_nothing_runs_before_the_dataset_is_consumed_and_the_callers_settings_stay(
    pictures: Path,
) -> None:
    def state() -> dict[str, Any]:
        loggers = [logging.getLogger(name) for name in ("", "ray", "ray.data", "styleid_ray")]
        return {
            "context": repr(ray.data.DataContext.get_current()),
            "environment": dict(os.environ),
            "loggers": [(one.level, one.handlers[:], one.propagate) for one in loggers],
            "signals": [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)],
        }

    paths = sorted((pictures / "content").glob("*.png"))
    ds = ray.data.from_items([{"label": at, "image": str(p)} for at, p in enumerate(paths)])
    before = state()
    lazy = stylize_dataset(ds, styles=str(pictures / "style"), **QUICK)
    assert len(lazy.take_all()) == len(paths)
    assert state() == before


def test_a_dataset_without_the_column_of_pictures_is_refused_before_the_work(
    pictures: Path,
) -> None:
    ds = ray.data.from_items([{"photo": "a.png"}])
    with pytest.raises(
        ConfigError, match=r"no column 'image': name one of \['photo'\] with image="
    ):
        stylize_dataset(ds, styles=str(pictures / "style"), **QUICK)


def test_more_styles_than_there_are_cannot_be_drawn(pictures: Path) -> None:
    with pytest.raises(SourceError, match="3, but there are 2 styles"):
        stylize_dataset(
            ray.data.range(1), styles=str(pictures / "style"), styles_per_content=3, **QUICK
        )


@pytest.mark.cluster
def test_the_documented_recipe_runs(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    section = page.partition("## In a pipeline of your own")[2]
    recipe = section.partition("```python\n")[2].partition("```")[0]
    (pictures / "content").rename(pictures / "photos")
    (pictures / "style").rename(pictures / "paintings")
    exec(recipe.replace('"/data/', f'"{pictures}/'), {})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" None")]
    assert len(lines) == 3 * 2
    assert any("(72, 80, 3)" in line for line in lines)
