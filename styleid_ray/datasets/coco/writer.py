"""Writing COCO: pictures, annotation files with new ids, panoptic PNGs."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

from styleid_ray.datasets.coco.annotations import Record
from styleid_ray.datasets.coco.reader import PNG
from styleid_ray.datasets.example import Example, each_written
from styleid_ray.datasets.labels import Labels
from styleid_ray.storage.store import Store


class Writer:
    """`images/NAME.png` and `annotations.json`, or `annotations/NAME.json` for each of several
    annotation files, `panoptic/NAME.png` and `masks/NAME.png`; all below the split's folder, where
    there are splits.

    Ids of images and annotations are new, and an image has one id in all files. The segment ids of
    panoptic PNGs and everything else in records and files stay the same.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store = store
        self.files = labels.header["files"]

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes pictures; the part holds their records without ids."""
        return b"".join(each_written(self._one, examples))

    def _one(self, example: Example) -> bytes:
        top = f"{example.split}/" * bool(example.split)
        file_name = f"{example.name}{example.extension}"
        self.store.write(f"{top}images/{file_name}", example.picture)
        for kind, folder in ((PNG, "panoptic"), ("mask.png", "masks")):
            if kind in example.label.files:
                self.store.write(f"{top}{folder}/{example.name}.png", example.label.files[kind])
        record = json.loads(example.label.files["json"])
        image = {**record["image"], "file_name": file_name, **example.origin}
        annotations = record["annotations"]
        head = [example.split, {name: len(annotations[name]) for name in annotations}]
        lines = [json.dumps(head).encode(), _without(image, "id")]
        for records in annotations.values():
            lines += [_annotation(one, example.name) for one in records]
        return b"\n".join(lines) + b"\n"

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes the annotation files of each split."""
        with ExitStack() as stack:
            splits: dict[str, dict[str, _Lists]] = {}
            for image, (split, counts, lines) in enumerate(_pictures(parts), 1):
                if split not in splits:
                    splits[split] = self._begin(split, stack)
                record = next(lines)
                for name, count in counts.items():
                    lists = splits[split][name]
                    lists.add_image(image, record)
                    for _ in range(count):
                        lists.add_annotation(image, next(lines))
            for lists in (one for files in splits.values() for one in files.values()):
                lists.end()

    def _begin(self, split: str, stack: ExitStack) -> dict[str, _Lists]:
        """The annotation files of a split, by their names in the labels."""
        files = [file for file in self.files if file["split"] == split] or self.files
        begun: dict[str, _Lists] = {}
        for file in files:
            own = file["name"].removeprefix(f"{split}/")
            name = f"annotations/{own}" if len(files) > 1 else "annotations.json"
            out = stack.enter_context(self.store.writing(f"{split}/{name}" if split else name))
            spool: Any = tempfile.TemporaryFile(prefix="styleid-ray-")  # noqa: SIM115
            begun[file["name"]] = _Lists(out, stack.enter_context(spool), file["fields"])
        return begun


class _Lists:
    """An annotation file that grows; its annotations wait in a temporary file until the last image
    is written."""

    def __init__(self, out: BinaryIO, spool: BinaryIO, fields: Mapping[str, Any]) -> None:
        self.out, self.spool = out, spool
        self.images = self.annotations = 0
        head = json.dumps(fields, ensure_ascii=False).encode()
        out.write(head[:-1] + b", " * bool(fields) + b'"images": [')

    def add_image(self, number: int, rest: bytes) -> None:
        self.out.write(b",\n" if self.images else b"\n")
        self.out.write(_begun(b'"id": %d' % number, rest))
        self.images += 1

    def add_annotation(self, image: int, rest: bytes) -> None:
        self.spool.write(b",\n" if self.annotations else b"\n")
        self.annotations += 1
        numbered, rest = rest[:1] == b"+", rest[1:]
        ids = b'"id": %d, ' % self.annotations if numbered else b""
        self.spool.write(_begun(ids + b'"image_id": %d' % image, rest))

    def end(self) -> None:
        self.out.write(b'], "annotations": [')
        self.spool.seek(0)
        shutil.copyfileobj(self.spool, self.out)
        self.out.write(b"]}\n")


def _pictures(parts: Iterator[bytes]) -> Iterator[tuple[str, Mapping[str, int], Iterator[bytes]]]:
    """The split of each picture, its number of annotations by file, and an iterator of its records,
    one per line, which the caller must consume."""
    for part in parts:
        lines = (line.rstrip(b"\n") for line in io.BytesIO(part))
        for head in lines:
            split, counts = json.loads(head)
            yield split, counts, lines


def _annotation(record: Record, name: str) -> bytes:
    """A record without ids, after + if it gets a new id and - if not, as panoptic records."""
    panoptic = "segments_info" in record
    numbered = "id" in record or not panoptic
    if panoptic:
        record = {**record, "file_name": f"{name}.png"}
    return (b"+" if numbered else b"-") + _without(record, "id", "image_id")


def _without(record: Record, *names: str) -> bytes:
    rest = {name: value for name, value in record.items() if name not in names}
    return json.dumps(rest, ensure_ascii=False).encode()[1:]


def _begun(ids: bytes, rest: bytes) -> bytes:
    return b"{" + ids + (b", " if rest != b"}" else b"") + rest
