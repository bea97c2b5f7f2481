"""Writing a dataset in the layout of Pascal VOC."""

import json
from collections.abc import Iterable, Iterator, Mapping

from styleid_ray.datasets.example import Example, TextFiles, each_written
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.voc.xml import Annotation
from styleid_ray.storage.store import Store

MASKS = ("SegmentationClass", "SegmentationObject")
"""Folders of masks."""
_BOTH = "trainval"
"""The list of train and val, and of a dataset without splits."""


class Writer:
    """`JPEGImages/NAME.ext`, `Annotations/NAME.xml` and the lists in `ImageSets/`.

    Only the texts of folder, filename, path and size change in an annotation, if it has these
    elements. Masks are copied, those of --label-masks to `masks/`. The lists are `train.txt`,
    `val.txt` and `test.txt`, and `trainval.txt` with the pictures of train and val; without splits,
    `trainval.txt` alone.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store = store
        self.folder = store.url.rstrip("/").rpartition("/")[2]

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes pictures; the part holds a line for each: split, name, and whether there are
        masks."""
        return b"".join(each_written(self._one, examples))

    def _one(self, example: Example) -> bytes:
        name, files = example.name, example.label.files
        picture = f"{name}{example.extension}"
        self.store.write(f"JPEGImages/{picture}", example.picture)
        xml = Annotation(files["xml"]).edited(self._texts(picture, example))
        self.store.write(f"Annotations/{name}.xml", xml)
        masks = {f: files[f"{f}.png"] for f in MASKS if f"{f}.png" in files}
        for folder, data in masks.items():
            self.store.write(f"{folder}/{name}.png", data)
        if "mask.png" in files:
            self.store.write(f"masks/{name}.png", files["mask.png"])
        return json.dumps([example.split, name, bool(masks)]).encode() + b"\n"

    def _texts(self, picture: str, example: Example) -> Mapping[tuple[str, ...], str]:
        # Results are RGB; an original may be grey, and is copied unchanged.
        depth = {} if example.origin.get("original") else {("size", "depth"): "3"}
        return {
            ("folder",): self.folder,
            ("filename",): picture,
            ("path",): f"JPEGImages/{picture}",
            ("size", "width"): str(example.width),
            ("size", "height"): str(example.height),
            **depth,
        }

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes the lists."""
        with TextFiles(self.store) as files:
            for part in parts:
                for split, name, segmented in map(json.loads, part.splitlines()):
                    both = [_BOTH] if split in ("train", "val") else []
                    for one in [split or _BOTH, *both]:
                        files.add(f"ImageSets/Main/{one}.txt", name)
                        if segmented:
                            files.add(f"ImageSets/Segmentation/{one}.txt", name)
