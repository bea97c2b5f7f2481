"""Time and memory of exporting a finished run of a COCO dataset."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.apart import peak_rss, run_apart
from benchmarks.options import ExportingOptions
from benchmarks.table import Table
from styleid_ray.config import DEMO_MODEL, JobConfig

_MIB = 2**20


def measure_exporting(options: ExportingOptions) -> Table:
    """A made-up dataset of each size, its run made up too, exported in a process of its own."""
    rows: list[dict[str, Any]] = []
    for pictures in options.pictures:
        annotations = pictures * options.annotations_per_picture
        with tempfile.TemporaryDirectory() as folder:
            run_apart(_make_up, folder, pictures, annotations, options.shard_pairs)
            for format in options.formats:
                measured = run_apart(_export, folder, format)
                rows.append(
                    {
                        "format": format,
                        "pictures": pictures,
                        "annotations": annotations,
                        "s": measured["s"],
                        "pictures/s": pictures / measured["s"],
                        "driver peak MiB": measured["driver peak MiB"],
                    }
                )
    return Table(
        "Exporting",
        rows,
        [
            "COCO's download layout with pictures of 32 x 24 and polygons; each content with one "
            "style, its result stored as it was made up, without a model",
            "seconds: from the call to its return, the start of Ray included; memory: the most "
            "that the driver had resident (VmHWM), interpreter and libraries included",
        ],
    )


def _job(folder: str, shard_pairs: int = 200) -> JobConfig:
    return JobConfig(
        content=f"{folder}/coco",
        style=f"{folder}/style",
        output=f"{folder}/run",
        model=DEMO_MODEL,
        picture_format="jpeg",
        shard_pairs=shard_pairs,
    )


def _make_up(folder: str, pictures: int, annotations: int, shard_pairs: int) -> None:
    from styleid_ray.batch.folder.output import PLAN, Output
    from styleid_ray.batch.folder.record import begin_run
    from styleid_ray.batch.prepare import prepare
    from styleid_ray.batch.stages.commit import Commit
    from styleid_ray.batch.stages.shard import RESULTS, Shard
    from styleid_ray.planning import shards_of
    from tests.datasets.coco_data import SIZE, make, picture
    from tests.datasets.coco_data import folder as below

    make(below(Path(folder) / "coco"), pictures, annotations)
    (Path(folder) / "style").mkdir()
    (Path(folder) / "style" / "s.png").write_bytes(picture("PNG"))
    config = _job(folder, shard_pairs)
    job, output = prepare(config), Output(config.output)
    begin_run(output, job, job.plan)
    commit = Commit(output, config, None)
    width, height = SIZE
    result = {"width": width, "height": height, "source_width": width, "source_height": height}
    result |= {"pixels": bytes(3 * width * height), "seconds": 0.0}
    for part in output.files(PLAN):
        for name, pairs in shards_of(output.read_table(part)):
            results = pa.Table.from_pylist([result] * pairs.num_rows, schema=RESULTS)
            commit.commit(Shard(name, pairs, results=results))


def _export(folder: str, format: Any) -> dict[str, Any]:
    from styleid_ray.batch.export.job import export
    from styleid_ray.batch.export.outcome import ExportOptions

    began = time.perf_counter()
    options = ExportOptions(f"{folder}/run", f"{folder}/as-{format}", format)
    export(options, io.StringIO())
    return {"s": time.perf_counter() - began, "driver peak MiB": round(peak_rss() / _MIB)}
