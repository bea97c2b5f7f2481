"""Datasets in the layout of Ultralytics YOLO, on a disk or in an object store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from styleid_ray.storage.store import Store
from tests.planning.conftest import picture_bytes

BOXES = "0 0.5 0.5 0.25 0.125\n1 0.1 0.2 0.30 4e-1\n"
NAMES = ["cat", "dog"]


def put(url: Any, files: Mapping[str, bytes | str]) -> str:
    """Writes files below a location; gives the location."""
    store = Store(str(url))
    for name, data in files.items():
        store.write(name, data if isinstance(data, bytes) else data.encode())
    return str(url)


def pictures(names: Iterable[str], label: str | None = BOXES) -> dict[str, bytes | str]:
    """Pictures `images/NAME.jpg`, each with its label file; None for pictures without."""
    files: dict[str, bytes | str] = {}
    for name in names:
        files[f"{name}.jpg"] = picture_bytes()
        if label is not None:
            files["labels/".join(f"{name}.txt".rsplit("images/", 1))] = label
    return files


def config(name: str = "data.yaml", /, **keys: Any) -> dict[str, bytes | str]:
    """A YAML file: of train and val, with two classes, unless keys say otherwise."""
    given = {"train": "images/train", "val": "images/val", "names": NAMES, **keys}
    return {name: yaml.safe_dump({k: v for k, v in given.items() if v != "left out"})}
