"""Writing a dataset in the layout of Ultralytics YOLO."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from styleid_ray.datasets.example import Example, each_written
from styleid_ray.datasets.labels import Labels
from styleid_ray.storage.store import Store

_REQUIRED = ("train", "val")
_OF_THE_SOURCE = {"path", "train", "val", "validation", "test", "minival", "download"}
"""Keys for the location or the download of the source's pictures."""


class Writer:
    """`images/SPLIT/NAME.ext`, `labels/SPLIT/NAME.txt` and `data.yaml`; masks of --label-masks lie
    in `masks/SPLIT/`.

    Label files are copied; a picture of the background has none. `data.yaml` keeps the source's
    keys except for the location of its pictures. It has no key `path`, so that the dataset can be
    moved: Ultralytics then starts at the file's own folder.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store, self.header = store, labels.header

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes pictures; the part holds their splits."""
        splits = set(each_written(self._one, examples))
        return "".join(f"{split}\n" for split in sorted(splits)).encode()

    def _one(self, example: Example) -> str:
        split, files = example.split or "train", example.label.files
        place = f"{split}/{example.name}"
        self.store.write(f"images/{place}{example.extension}", example.picture)
        if "txt" in files:
            self.store.write(f"labels/{place}.txt", files["txt"])
        if "mask.png" in files:
            self.store.write(f"masks/{place}.png", files["mask.png"])
        return split

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes `data.yaml`."""
        splits = {split for part in parts for split in part.decode().split()}
        if splits:
            self.store.write("data.yaml", _config(splits, self.header).encode())


def _config(splits: set[str], header: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in header.items() if key not in _OF_THE_SOURCE}
    first = next(split for split in (*_REQUIRED, "test", *sorted(splits)) if split in splits)
    lines = ["# Paths are relative to the folder of this file."]
    for split in (*_REQUIRED, *sorted(splits - set(_REQUIRED))):
        if split not in splits:
            # Ultralytics rejects a file without this key.
            lines.append(f"# no {split} pictures were exported: replace this")
        lines.append(f"{split}: images/{split if split in splits else first}")
    if header.get("test") and "test" not in splits:
        lines.append("# no test pictures were exported")
    dumped = yaml.safe_dump(rest, sort_keys=False, allow_unicode=True, width=100)
    return "\n".join([*lines, dumped])
