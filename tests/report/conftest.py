"""Runs to report on, made with the real plan, record and commit; only the stylising is a blend."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.folder.record import begin_run
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.session import Summary
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.shard import RESULTS, Shard
from styleid_ray.config import JobConfig
from styleid_ray.imaging import decode
from styleid_ray.planning import shards_of
from styleid_ray.quality.columns import quality_type
from styleid_ray.storage.fetch import read_bytes

MakeRun = Callable[..., Output]


def paint(path: Path, number: int, size: int = 48) -> Path:
    """A small picture, different for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    colour = np.random.default_rng(number).integers(40, 255, 3)
    wave = 0.5 + 0.5 * np.sin(x / (2 + number % 5) + y / (3 + number % 7))
    Image.fromarray((wave[..., None] * colour).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def make_run(tiny_model: Path) -> MakeRun:
    """`make_run(output, contents, styles, …)`: a run with its plan, data, errors and summary.

    `failing` are contents that cannot be decoded; `shards` the most shards that are committed;
    other keywords are options of the job.
    """

    def make(
        output: str,
        content: Path,
        style: Path,
        failing: tuple[str, ...] = (),
        shards: int | None = None,
        message: str = "content {}: the picture is damaged",
        **options: Any,
    ) -> Output:
        options = {"size": 64, "steps": 4, "picture_format": "jpeg"} | options
        config = JobConfig(
            content=str(content), style=str(style), output=output, model=str(tiny_model), **options
        )
        job, to = prepare(config), Output(output)
        plan = job.plan
        begin_run(to, job, plan)
        commit, pictures = Commit(to, config, None), {}
        done = failed = 0

        def pixels(root: Path, key: str) -> np.ndarray:
            if (root, key) not in pictures:
                image = decode(read_bytes(str(root / key)), 10**8)
                pictures[root, key] = np.asarray(image).astype(np.float32)
            return pictures[root, key]

        for name, pairs in list(shards_of(plan.table))[:shards]:
            results: list[dict[str, Any]] = []
            for pair in pairs.to_pylist():
                if pair["content"] in failing:
                    text = message.format(pair["content"])
                    results.append({"stage": "decode", "error": "RowError", "message": text})
                    failed += 1
                    continue
                mean = pixels(style, pair["style"]).mean((0, 1))
                blend = (0.5 * pixels(content, pair["content"]) + 0.5 * mean).astype(np.uint8)
                height, width = blend.shape[:2]
                size = {"width": width, "height": height}
                source = {"source_width": width, "source_height": height}
                results.append({"pixels": blend.tobytes(), "seconds": 0.5, **size, **source})
                done += 1
            commit.commit(Shard(name, pairs, results=pa.Table.from_pylist(results, RESULTS)))
        if done + failed == plan.pairs:
            session = {"done": done, "failed": failed, "seconds": 12.0, "pairs_per_second": 1.25}
            summary = Summary(
                output=output,
                planned=plan.pairs,
                done=done,
                failed=failed,
                missing=0,
                session=session | {"unet_evaluations": 1234},
                finished="2031-05-06T07:08:09+00:00",
            )
            to.write(SUMMARY, json.dumps(asdict(summary)).encode())
        return to

    return make


Quality = dict[str, float | None] | None


def measure(output: Output, qualities: Callable[[dict[str, Any]], Quality]) -> None:
    """Sets the column `quality` of each finished pair of a run, by its row."""
    for name in output.files("data"):
        table = output.read_table(name)
        rows = table.select(["pair_id", "content", "style", "k"]).to_pylist()
        column = pa.array([qualities(row) for row in rows], quality_type())
        if "quality" in table.column_names:
            table = table.drop_columns(["quality"])
        output.write_table(name, table.append_column("quality", column))


def evaluate(output: Output, scores: Callable[[dict[str, Any]], float], **summary: Any) -> None:
    """Writes an evaluation of a run; all metrics of a pair are one number, by its row."""
    pairs = []
    for name in output.files("data"):
        for row in output.read_table(name, ["pair_id", "content", "style"]).to_pylist():
            metrics = ("lpips", "lpips_gray", "cfsd", "histogram_loss")
            pairs.append(row | dict.fromkeys(metrics, scores(row)))
    metrics = {"fid": 18.25, "lpips": 0.5, "lpips_gray": 0.4, "cfsd": 0.25, "histogram_loss": 0.125}
    counts = {f"{role}s": len({pair[role] for pair in pairs}) for role in ("content", "style")}
    whole = metrics | {"artfid": 28.875, "pairs": len(pairs)} | counts
    whole |= {name: {} for name in ("missing", "unreadable", "weights", "counts")} | summary
    output.write_table("evaluation/pairs.parquet", pa.Table.from_pylist(pairs))
    output.write("evaluation/summary.json", json.dumps(whole).encode())


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    """Folders with three contents and two styles."""
    for number, name in enumerate(("boat.png", "park/tree 10.png", "park/tree 9.png")):
        paint(tmp_path / "content" / name, number)
    for number, name in enumerate(("ink.png", "oil.png")):
        paint(tmp_path / "style" / name, 10 + number)
    return tmp_path / "content", tmp_path / "style"


def picture_of(data_uri: str) -> Image.Image:
    """The picture in a data URI."""
    import base64

    return Image.open(io.BytesIO(base64.b64decode(data_uri.split(",", 1)[1])))
