"""The pictures of a page: pairs, their sources and their parameters."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.places import read_places
from styleid_ray.batch.folder.stored import run_source
from styleid_ray.quality.columns import COLUMN
from styleid_ray.report.facts import labelled
from styleid_ray.report.pictures import SourcePictures, embedded, side_of
from styleid_ray.report.public import public_location
from styleid_ray.report.sample import choose

_COLUMNS = ["pair_id", "image", "content", "style", "k", "width", "height", "params", "seconds"]
_WORKERS = 4
_ROWS_AT_ONCE = 32


def _numbers() -> defaultdict[Any, int]:
    """Numbers each new key from 0."""
    return defaultdict(count().__next__)


def read_gallery(
    output: Output,
    record: dict[str, Any],
    most: int,
    besides: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """A run's results as JSON-like data for the page's script: a sample of at most `most` pairs,
    and the pairs in `besides`, row numbers by file.

    Returns:
        "pairs" (c, s, p: numbers of content, style and parameters; k; w, h in pixels; t seconds;
        id; image as data URI or null; file: path of the result beside the page; quality by measure,
        or null; extra: whether the pair is outside the sample), "contents" and "styles" (name,
        image), "params" ((label, value) texts), "shown" pairs in the sample of "total", "grid":
        whether a grid makes sense, "side" of the copies in pixels.
    """
    square = record["config"].get("fit") == "crop"
    sample = choose(output, most)
    side = side_of(sample.shown)
    contents, styles, params = _numbers(), _numbers(), _numbers()
    pairs: dict[str, dict[str, Any]] = {}
    for row in _results(output, _joined(sample.rows, besides), side):
        labels = tuple(labelled(row["params"] or {}))
        pairs[row["pair_id"]] = {
            "c": contents[row["content"]],
            "s": styles[row["style"]],
            "p": params[labels],
            "k": row["k"],
            "w": row["width"],
            "h": row["height"],
            "t": row["seconds"],
            "id": row["pair_id"],
            "image": row["image"],
            "file": row["file"],
            "quality": row["quality"],
            "extra": row["extra"],
        }

    def sources(role: str, keys: Collection[str]) -> list[dict[str, Any]]:
        source = run_source(record, role, output.storage_options)
        pictures = SourcePictures(source, read_places(output, role, keys), side, square)
        with ThreadPoolExecutor(_WORKERS) as pool:
            images = pool.map(pictures.embedded, keys)
            names = map(public_location, keys)
            return [{"name": n, "image": x} for n, x in zip(names, images, strict=True)]

    return {
        "pairs": list(pairs.values()),
        "contents": sources("content", contents),
        "styles": sources("style", styles),
        "params": list(params),
        "shown": sample.shown,
        "total": sample.total,
        "grid": sample.crossed,
        "side": side,
    }


def _joined(
    sampled: Mapping[str, np.ndarray], besides: Mapping[str, Sequence[int]]
) -> dict[str, dict[int, bool]]:
    """Whether a row is outside the sample, by file and row number."""
    rows = {name: dict.fromkeys(numbers.tolist(), False) for name, numbers in sampled.items()}
    for name, numbers in besides.items():
        own = rows.setdefault(name, {})
        own |= {row: True for row in numbers if row not in own}
    return rows


def _results(
    output: Output, rows: dict[str, dict[int, bool]], side: int
) -> Iterator[dict[str, Any]]:
    """The chosen rows with `image` as data URI; files are read in parallel, batch by batch."""

    def of_file(name: str) -> list[dict[str, Any]]:
        return output.parsed(
            name, lambda f: [_result(output, row, side) for row in _rows(f, rows[name])]
        )

    with ThreadPoolExecutor(_WORKERS) as pool:
        for found in pool.map(of_file, rows):
            yield from found


def _rows(file: Any, extra: dict[int, bool]) -> Iterator[dict[str, Any]]:
    start, parquet = 0, pq.ParquetFile(file)
    columns = [*_COLUMNS, COLUMN]
    wanted = np.array(sorted(extra))
    for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns):
        inside = wanted[(wanted >= start) & (wanted < start + batch.num_rows)]
        for row in inside.tolist():
            found = batch.slice(row - start, 1).select(columns).to_pylist()[0]
            yield found | {"extra": extra[row]}
        start += batch.num_rows


def _result(output: Output, row: dict[str, Any], side: int) -> dict[str, Any]:
    image = row["image"] or {}
    data, file = image.get("bytes"), None
    if data is None and _is_beside(image.get("path")):
        file = quote(image["path"])
        try:
            data = output.read(image["path"])
        except OSError:  # removed since
            file = None
    return row | {"image": embedded(data, side) if data else None, "file": file}


def _is_beside(path: Any) -> bool:
    """Whether a path names one of the output's own pictures."""
    return isinstance(path, str) and path.startswith("images/") and ".." not in path.split("/")
