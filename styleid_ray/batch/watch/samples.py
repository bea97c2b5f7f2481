"""A small grid of pictures of a finished shard."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.errors import OutputError, RowError
from styleid_ray.imaging.decode import thumbnail

_COLUMNS, _MOST, _SIDE = 4, 8, 192


def sample_grid(output: Output, shard: str) -> Image.Image | None:
    """Up to eight pictures of a shard, at most 192 pixels each, four in a row.

    None where the shard has no picture or no file of its own, as the rows of a retry.
    """
    pictures: list[Image.Image] = []
    try:
        for row in output.parsed(data_file(shard), _first_rows):
            data = row["bytes"] if row["bytes"] is not None else output.read(row["path"])
            with suppress(RowError):
                size = row["width"] * row["height"]
                pictures.append(thumbnail(data, size, _SIDE))
    except (OutputError, FileNotFoundError, pa.ArrowInvalid):
        return None
    if not pictures:
        return None
    rows = -(-len(pictures) // _COLUMNS)
    grid = Image.new("RGB", (min(_COLUMNS, len(pictures)) * _SIDE, rows * _SIDE))
    for at, picture in enumerate(pictures):
        corner = at % _COLUMNS * _SIDE, at // _COLUMNS * _SIDE
        grid.paste(picture, corner)
    return grid


def _first_rows(file: Any) -> list[dict[str, Any]]:
    shard = pq.ParquetFile(file)
    if not shard.num_row_groups:
        return []
    rows = shard.read_row_group(0, columns=["image", "width", "height"]).slice(0, _MOST)
    return [{**row, **row["image"]} for row in rows.to_pylist()]
