"""Tars and Parquet files of pictures, as datasets hold them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.features import in_metadata
from styleid_ray.datasets.fetch import fetch_pictures
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError

Files = Mapping[str, bytes] | Iterable[tuple[str, bytes]]


def picture(seed: int, format: str = "PNG") -> bytes:
    """The file of a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (seed * 40 % 256, seed % 256, 90)).save(buffer, format)
    return buffer.getvalue()


def tar_bytes(files: Files, format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar with these members in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parquet_bytes(
    rows: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    features: Mapping[str, Any] | None = None,
    group: int = 2,
) -> bytes:
    """A Parquet file; with features, as `datasets` writes one."""
    if features:
        schema = schema.with_metadata(in_metadata(features))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer, row_group_size=group)
    return buffer.getvalue()


def put(folder: Path, files: Mapping[str, bytes]) -> DatasetOptions:
    """Writes files below a folder; returns the options that read it as contents."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return DatasetOptions(str(folder), "content")


def pictures(found: Source) -> dict[str, bytes]:
    """The file of each picture by its key; empty where it cannot be read."""
    wanted = list(zip(found.keys, found.places or (), strict=True))
    files = dict(fetch_pictures(found.place, wanted))
    return {
        key: b"" if isinstance(files[i], RowError) else files[i].data  # pyright: ignore
        for i, (key, _) in enumerate(wanted)
    }


def labels_by_key(labels: Labels, found: Source) -> dict[str, Label]:
    """The labels of all pictures by their keys."""
    read_back = labels.read(list(found.keys), list(found.places or ()))
    return dict(zip(found.keys, read_back, strict=True))


def example(number: int, label: Label, split: str = "", data: bytes | None = None) -> Example:
    """A stylised picture of an export."""
    origin = {
        "content": f"c{number}.jpg",
        "style": "s.png",
        "k": 0,
        "original": False,
        "gamma": 0.75,
        "temperature": 1.5,
        "pair_id": f"{number:032x}",
    }
    assert list(origin) == list(ORIGIN)
    name = f"c{number}__s"
    return Example(name, ".png", data or picture(number), 8, 6, split, label, origin)
