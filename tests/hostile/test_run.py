"""One run over everything that can lie in a folder of pictures."""

from __future__ import annotations

import io
import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.run import stylize
from styleid_ray.model.checkpoint import EMBEDDED_MODEL
from styleid_ray.report import write_report
from tests.batch.conftest import draw, local_ray
from tests.hostile.corpus import (
    BROKEN_LINKS,
    MAX_PIXELS,
    NAMES,
    NOT_PICTURES,
    PICTURES,
    write_corpus,
)

__all__ = ["local_ray"]
pytestmark = pytest.mark.usefixtures("local_ray")


def small_job(folder: Path, **options: Any) -> JobConfig:
    defaults = {"model": "demo", "size": 64, "steps": 2, "output": str(folder / "out")}
    sources = {name: str(folder / name) for name in ("content", "style")}
    return JobConfig(**{**defaults, **sources, **options})


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    return pads.dataset(folder / "out" / kind, format="parquet").to_table().to_pylist()


def paths_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_relative_to(folder / "out")}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of the test's own look at the files
@pytest.mark.parametrize("output_format", ["parquet", "files"])
def test_hostile_files_and_names_cost_their_own_pairs_and_nothing_else(
    output_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path / "content")
    draw(tmp_path / "style" / "s.png", 1)
    (tmp_path / "style" / "bad.jpg").write_bytes(b"")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = paths_below(tmp_path)
    output = tmp_path / "out"
    good, bad = {*PICTURES, *NAMES}, {*NOT_PICTURES, *BROKEN_LINKS}
    config = small_job(tmp_path, max_pixels=MAX_PIXELS, format=output_format)
    summary = stylize(config, io.StringIO())

    assert (summary.done, summary.failed) == (len(good), len(good) + 2 * len(bad))
    done, failed = rows(tmp_path, "data"), rows(tmp_path, "errors")
    assert sorted((row["content"], row["style"]) for row in done) == sorted(
        (name, "s.png") for name in good
    )
    assert sorted((row["content"], row["style"]) for row in failed) == sorted(
        [(name, "bad.jpg") for name in good] + [(n, s) for n in bad for s in ("s.png", "bad.jpg")]
    )
    for row in failed:
        assert row["stage"] in ("fetch", "decode")
        assert re.fullmatch(r"[A-Za-z]\w+", row["error"])
        assert row["message"].isprintable()
        assert 20 < len(row["message"]) <= 400
    for row in done:
        whole = row["image"]["bytes"]
        if output_format == "files":
            assert whole is None
            whole = (output / row["image"]["path"]).read_bytes()
        result = np.asarray(Image.open(io.BytesIO(whole)))
        with Image.open(tmp_path / "content" / row["content"]) as source:
            assert result.shape == (source.height, source.width, 3)
    if output_format == "files":
        names = [row["image"]["path"] for row in done]
        assert len({name.lower() for name in names}) == len(names)
        assert {f"images/{path.name}" for path in (output / "images").iterdir()} == set(names)
    write_report(Output(str(output)))
    assert paths_below(tmp_path) == before

    (tmp_path / "content" / next(iter(NAMES))).unlink()
    draw(tmp_path / "content" / "one\nmore.png", 2)
    lines = io.StringIO()
    assert stylize(config.model_copy(update={"extend": True}), lines).done == len(good) + 1
    assert lines.getvalue().replace("\n", "").isprintable()


def test_a_dead_link_in_a_table_costs_its_own_pair(tmp_path: Path) -> None:
    draw(tmp_path / "content" / "a.png", 1)
    draw(tmp_path / "style" / "s.png", 2)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path / "content")
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://127.0.0.1:{server.server_port}"
    table = tmp_path / "t.csv"
    table.write_text(f"content,style\n{web}/a.png,s.png\n{web}/gone.png,s.png\na.png,gone.png\n")
    try:
        summary = stylize(small_job(tmp_path, pairing="table", table=str(table)), io.StringIO())
    finally:
        server.shutdown()
        server.server_close()
    assert (summary.done, summary.failed) == (1, 2)
    failed = {row["message"]: row["stage"] for row in rows(tmp_path, "errors")}
    assert failed == {
        f"content {web}/gone.png: the file does not exist": "fetch",
        "style gone.png: the file does not exist": "fetch",
    }


def test_a_result_that_its_format_cannot_hold_costs_its_own_pair(tmp_path: Path) -> None:
    draw(tmp_path / "content" / "a.png", 1)
    (tmp_path / "content" / "strip.png").write_bytes(PICTURES["strip.png"])
    draw(tmp_path / "style" / "s.png", 2)
    summary = stylize(small_job(tmp_path, picture_format="webp"), io.StringIO())
    assert (summary.done, summary.failed) == (1, 1)
    (row,) = rows(tmp_path, "errors")
    assert (row["content"], row["stage"]) == ("strip.png", "encode")
    assert "20000 x 3 as webp" in row["message"]


@pytest.mark.parametrize(
    ("part", "weight"), [("unet", "conv_out.bias"), ("vae", "decoder.conv_out.bias")]
)
def test_a_model_that_gives_no_numbers_fails_every_pair_and_no_picture_is_written(
    part: str, weight: str, tmp_path: Path
) -> None:
    draw(tmp_path / "content" / "a.png", 1)
    draw(tmp_path / "content" / "b.png", 2, (120, 64))
    draw(tmp_path / "style" / "s.png", 3)
    model = Path(shutil.copytree(EMBEDDED_MODEL, tmp_path / "model"))
    file = model / part / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights[weight].fill_(torch.nan)
    save_file(weights, file)
    summary = stylize(small_job(tmp_path, model=str(model)), io.StringIO())
    assert (summary.done, summary.failed) == (0, 2)
    assert rows(tmp_path, "data") == []
    for row in rows(tmp_path, "errors"):
        assert (row["stage"], row["error"]) == ("stylize", "NonFiniteResult")
        assert "no numbers" in row["message"]


def test_columns_that_python_has_no_values_for_are_passed_through(tmp_path: Path) -> None:
    draw(tmp_path / "content" / "a.png", 1)
    draw(tmp_path / "style" / "s.png", 2)
    odd = pa.table(
        {
            "nanoseconds": pa.array([1], pa.timestamp("ns")),
            "far\nago": pa.array([-(2**60)], pa.timestamp("us")),
            "raw": pa.array([b"\xff\x00"]),
            "nested": pa.array([[{"x": None}]], pa.list_(pa.struct([("x", pa.int8())]))),
        }
    )
    keys = pa.table({"content": ["a.png"], "style": ["s.png"]})
    for name in odd.column_names:
        keys = keys.append_column(odd.schema.field(name), odd[name])
    pq.write_table(keys, tmp_path / "t.parquet")
    config = small_job(tmp_path, pairing="table", table=str(tmp_path / "t.parquet"))
    assert stylize(config, io.StringIO()).done == 1
    out = pads.dataset(tmp_path / "out" / "data", format="parquet").to_table()
    assert out.select(odd.column_names).equals(odd)
