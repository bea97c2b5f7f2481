"""COCO datasets on a disk, read and exported for tests."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from styleid_ray.datasets import coco
from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.formats import open_labels, read_source
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.store import Store
from tests.datasets.coco_data import (
    CATEGORIES,
    PERSON,
    annotation_file,
    folder,
    image,
    picture,
    polygon,
)

INSTANCES = "annotations/instances_train2017.json"
POLYGON = {"segmentation": [[1.5, 2.25, 9.125, 2.25, 9.125, 8.0], [10, 10, 12, 10, 12, 12]]}
CROWD_RLE = {"segmentation": {"counts": [30, 10, 728], "size": [24, 32]}, "iscrowd": 1}
COMPRESSED_RLE = {"segmentation": {"counts": "n0:fd0", "size": [24, 32]}}
PRECISE = {"bbox": [0.1, 1e-05, 17.123456789012345, 3], "area": 218.96875000000003}
UNKNOWN = {"attributes": {"occluded": False, "Größe": "¼"}, "score": 0.5, "track": None}
KEYPOINTS = {"keypoints": [5, 6, 2, 7, 8, 1, 0, 0, 0], "num_keypoints": 2, "category_id": 1}
SCENE = [
    polygon(7, 1, **POLYGON),
    polygon(900100, 1, **CROWD_RLE, category_id=90),
    polygon(8, 2, **COMPRESSED_RLE, **PRECISE),
    polygon(3, 2, **UNKNOWN),
]


def dataset(root: Path, files: Mapping[str, bytes], *pictures: str) -> DatasetOptions:
    """A dataset on the disk, with these pictures."""
    put = folder(root)
    for name, data in files.items():
        put(name, data)
    for name in pictures:
        put(name, picture("PNG" if name.endswith(".png") else "JPEG"))
    return DatasetOptions(str(root), "content", splits=("*",))


def two_pictures(root: Path, **fields: Any) -> DatasetOptions:
    """Two pictures with four annotations, in the download layout."""
    files = {INSTANCES: annotation_file([image(1), image(2)], SCENE, **fields)}
    return dataset(root, files, *names("train2017", 1, 2))


def names(where: str, *numbers: int) -> list[str]:
    return [f"{where}/{number:012d}.jpg" for number in numbers]


def opened(options: DatasetOptions, work: Path | str) -> tuple[Source, Labels]:
    """A dataset's pictures, and its labels as a task gets them."""
    contents = read_source(options)
    labels = open_labels(DatasetOptions(**{**vars(options), "format": "coco"}), contents)
    return contents, pickle.loads(pickle.dumps(labels.prepared(Store(str(work)))))


def label_of(labels: Labels, key: str) -> Any:
    (label,) = labels.read([key], [None])
    return label


def examples(contents: Source, labels: Labels, keys: Iterable[str]) -> Iterable[Example]:
    """One result for each content."""
    splits = dict(zip(contents.keys, contents.splits or [""] * len(contents.keys), strict=True))
    for key in keys:
        name = key.rpartition("/")[2].partition(".")[0] + "__night"
        origin = {**dict.fromkeys(ORIGIN), "content": key, "style": "night.jpg", "original": False}
        label = label_of(labels, key)
        yield Example(name, ".png", b"png", 32, 24, splits[key], label, origin)


def exported(options: DatasetOptions, to: Path | str, work: Path | str) -> str:
    """Writes an export of a dataset in two parts."""
    contents, labels = opened(options, work)
    writer = coco.Writer(Store(str(to)), labels)
    keys, half = list(contents.keys), (len(contents.keys) + 1) // 2
    parts = [
        writer.write(number, examples(contents, labels, some))
        for number, some in enumerate((keys[:half], keys[half:]))
    ]
    writer.finish(iter(parts))
    return str(to)


def parsed(root: str | Path, name: str) -> Any:
    return json.loads(read_bytes(f"{root}/{name}"))


def without(record: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in fields}


def refused(options: DatasetOptions) -> str:
    """The one line that says why a dataset cannot be read."""
    with pytest.raises(SourceError) as error:
        read_source(options)
    assert "\n" not in str(error.value)
    return str(error.value)


def several(root: Path) -> DatasetOptions:
    """Instances, key points and captions of two splits, with ids that files count apart."""
    put = folder(root)
    for split, first in (("train2017", 1), ("val2017", 5)):
        images = [image(first), image(first + 1)]
        instances = [polygon(1, first, **KEYPOINTS), polygon(2, first + 1)]
        people = [{**instances[0], "num_keypoints": 2}]
        captions = [{"image_id": first + 1, "id": 9, "caption": 'A "dog", rightly – 犬\n'}]
        put(
            f"annotations/instances_{split}.json",
            annotation_file(images, [without(a, "keypoints") for a in instances]),
        )
        put(
            f"annotations/person_keypoints_{split}.json",
            annotation_file(images[:1], people, [PERSON]),
        )
        put(f"annotations/captions_{split}.json", annotation_file(images, captions, None))
    return dataset(root, {}, *names("train2017", 1, 2), *names("val2017", 5, 6))


def panoptic(root: Path, png: bytes, pngs: str = "annotations/panoptic_val2017") -> DatasetOptions:
    """One picture with two segments."""
    shape = {"area": 384, "bbox": [0, 0, 16, 24], "iscrowd": 0}
    segments = [{"id": 70000, "category_id": 1, **shape}, {"id": 5, "category_id": 90, **shape}]
    record = {"segments_info": segments, "file_name": "000000000001.png", "image_id": 1}
    categories = [{**one, "isthing": 1} for one in CATEGORIES]
    files = {
        "annotations/panoptic_val2017.json": annotation_file([image(1)], [record], categories),
        f"{pngs}/000000000001.png": png,
    }
    return dataset(root, files, *names("val2017", 1))
