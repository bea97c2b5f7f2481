"""COCO datasets for tests and benchmarks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

Put = Callable[[str, bytes], object]
"""Puts a file of this name in place."""

INFO = {"description": "Tests", "year": 2017, "version": "1.0"}
LICENSES = [{"id": 3, "name": "CC BY", "url": "https://example.org/by"}]
CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person"},
    {"id": 18, "name": "dog", "supercategory": "animal"},
    {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
]
PERSON = {
    **CATEGORIES[0],
    "keypoints": ["nose", "left_eye", "right_eye"],
    "skeleton": [[1, 2], [1, 3]],
}
SIZE = (32, 24)


def folder(root: Path) -> Put:
    """Puts files below a folder of the disk."""

    def put(name: str, data: bytes) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return put


def picture(format: str = "JPEG", colour: int = 90) -> bytes:
    """A picture of SIZE in one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, (colour % 256, 80, 40)).save(buffer, format)
    return buffer.getvalue()


def image(number: int, **fields: Any) -> dict[str, Any]:
    """The record of an image."""
    name = f"{number:012d}.jpg"
    record = {"license": 3, "file_name": name, "height": SIZE[1], "width": SIZE[0]}
    return {**record, "date_captured": "2013-11-14 17:02:52", "id": number, **fields}


def polygon(number: int, image_id: int | str, **fields: Any) -> dict[str, Any]:
    """An annotation with a polygon."""
    return {
        "segmentation": [[2.25, 3.5, 20.125, 3.5, 20.125, 15.75, 2.25, 15.75]],
        "area": 218.96875,
        "iscrowd": 0,
        "image_id": image_id,
        "bbox": [2.25, 3.5, 17.875, 12.25],
        "category_id": 18,
        "id": number,
        **fields,
    }


def annotation_file(
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    categories: Iterable[Mapping[str, Any]] | None = CATEGORIES,
    **fields: Any,
) -> bytes:
    """The JSON of an annotation file."""
    content = {"info": INFO, "licenses": LICENSES, **fields, "images": list(images)}
    content["annotations"] = list(annotations)
    if categories is not None:
        content["categories"] = list(categories)
    return json.dumps(content).encode()


def panoptic_png(segments: Iterable[int]) -> bytes:
    """A PNG with a stripe of each segment id, which is R + 256 G + 256² B."""
    ids = list(segments)
    png = Image.new("RGB", SIZE)
    for number, segment in enumerate(ids):
        colour = (segment % 256, segment // 256 % 256, segment // 65536)
        png.paste(colour, (number * SIZE[0] // len(ids), 0, SIZE[0], SIZE[1]))
    buffer = io.BytesIO()
    png.save(buffer, "PNG")
    return buffer.getvalue()


def make(put: Put, pictures: int, annotations: int, split: str = "train2017") -> None:
    """A dataset in COCO's download layout: tiny JPEGs, and polygons spread evenly over them."""
    files = [picture(colour=colour) for colour in range(8)]
    for number in range(pictures):
        put(f"{split}/{number:012d}.jpg", files[number % len(files)])
    images = map(image, range(pictures))
    records = (polygon(n, n % pictures) for n in range(annotations))
    put(f"annotations/instances_{split}.json", annotation_file(images, records))
