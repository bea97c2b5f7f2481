"""The labels of COCO as columns, by the convention of the Hugging Face hub."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from styleid_ray.datasets.coco.annotations import Record, Summary
from styleid_ray.datasets.features import IMAGE_FEATURE, sequence_feature, value_feature

Names = Mapping[tuple[str, Any], str]
"""Names of categories, by file and by the category's id in that file."""


def category_names(summaries: Mapping[str, Summary]) -> tuple[Names, tuple[str, ...]]:
    """The name of each category, and all names in the order of ids. Where different categories
    share a name, the id is added to each but the first."""
    entries = [
        (category["id"], category["name"], file)
        for file, summary in summaries.items()
        for category in summary.categories
    ]
    ids: dict[str, Any] = {}
    names: dict[tuple[str, Any], str] = {}
    for number, name, file in sorted(entries, key=lambda entry: (str(type(entry[0])), entry[0])):
        own = name if ids.get(name, number) == number else f"{name} ({number})"
        ids.setdefault(own, number)
        names[file, number] = own
    return names, tuple(ids)


def features(summaries: Iterable[Summary], names: Sequence[str]) -> dict[str, Any]:
    """The Hugging Face features of the columns of annotation files."""
    fields = [summary.fields for summary in summaries if not summary.panoptic]
    some = set(chain.from_iterable(fields))
    columns: dict[str, Any] = {}
    if some & {"bbox", "segmentation", "keypoints", "category_id"}:
        columns["objects"] = [_object_features(some, names)]
    if any(summary.panoptic for summary in summaries):
        columns["segments"] = [_object_features({"bbox", "area", "iscrowd"}, names)]
        columns["panoptic"] = IMAGE_FEATURE
    if "caption" in some:
        columns["captions"] = sequence_feature(value_feature("string"))
    return columns


def columns(
    annotations: Mapping[str, Sequence[Record]], features: Mapping[str, Any], names: Names
) -> dict[str, Any]:
    """The values of a picture's columns, from its annotations by file."""
    values: dict[str, Any] = {}
    for column in features:
        if column == "panoptic":
            continue  # a file
        if column == "captions":
            records = chain.from_iterable(annotations.values())
            values[column] = [r["caption"] for r in records if isinstance(r.get("caption"), str)]
            continue
        (wanted,) = features[column]
        entries = _segments if column == "segments" else _objects
        values[column] = [
            {name: _plain(record.get(name), feature) for name, feature in wanted.items()}
            | {"category": names.get((file, record.get("category_id")))}
            for file, record in entries(annotations)
        ]
    return values


def _object_features(fields: set[str], names: Sequence[str]) -> dict[str, Any]:
    kinds = {
        "bbox": sequence_feature(value_feature("float64")),
        "area": value_feature("float64"),
        "iscrowd": value_feature("int64"),
        "segmentation": value_feature("string"),
        "keypoints": sequence_feature(value_feature("float64")),
    }
    return {
        "id": value_feature("int64"),
        "category": {"names": list(names), "_type": "ClassLabel"},
        **{name: kind for name, kind in kinds.items() if name in fields},
    }


def _objects(annotations: Mapping[str, Sequence[Record]]) -> list[tuple[str, Record]]:
    """Annotations of objects. An object in several files, such as instances and person_keypoints,
    is one object with the fields of all."""
    objects: dict[str, tuple[str, Record]] = {}
    for file, records in annotations.items():
        for record in records:
            if "segments_info" in record or "caption" in record:
                continue
            same = json.dumps([record.get(name) for name in ("id", "category_id", "bbox")])
            first, known = objects.get(same, (file, {}))
            distinct = "id" not in record or (first == file and known)
            key = f"{file} {len(objects)}" if distinct else same
            objects[key] = (file, record) if distinct else (first, {**record, **known})
    return list(objects.values())


def _segments(annotations: Mapping[str, Sequence[Record]]) -> list[tuple[str, Record]]:
    return [
        (file, segment)
        for file, records in annotations.items()
        for record in records
        for segment in record.get("segments_info", ())
    ]


def _plain(value: Any, feature: Mapping[str, Any]) -> Any:
    """A value in the form of its feature; None where it is of another kind."""
    if feature["_type"] == "Sequence":
        numbers = value if isinstance(value, list) else []
        return [_plain(number, feature["feature"]) for number in numbers] or None
    kind = feature.get("dtype")
    if kind == "string":
        return None if value is None else json.dumps(value)
    if not isinstance(value, int | float):
        return None
    return int(value) if kind == "int64" else float(value)
