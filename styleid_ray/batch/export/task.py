"""One item of an export: read its pictures, join their labels, write them."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.batch.export.contents import MARK
from styleid_ray.batch.export.items import Item
from styleid_ray.batch.export.target import PARTS, ExportStore
from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.folder.places import plan_columns
from styleid_ray.config import ExportFormat
from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.fetch import fetch_pictures
from styleid_ray.datasets.formats import open_writer
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.names import Names
from styleid_ray.datasets.source import Source
from styleid_ray.errors import OutputError, RowError, SourceError
from styleid_ray.imaging.decode import upright_size
from styleid_ray.imaging.formats import picture_extension
from styleid_ray.quality.rule import Rule
from styleid_ray.storage.locations import shown

WITHOUT_ORIGINS = ("voc", "yolo")
"""Formats that cannot hold the origins of pictures."""
LeftOut = dict[str, str]
"""Reasons of omitted contents, by their keys."""
_COLUMNS = ("pair_id", "image", "content", "style", "k", "width", "height", "params")


@dataclass(frozen=True)
class ExportItem:
    """Writes an item's pictures, then its part, which marks the item as done."""

    output: Output
    """The run."""
    store: ExportStore
    format: ExportFormat
    labels: Labels
    """Labels of the contents, prepared."""
    source: Source
    """Location of the contents."""
    names: Names
    """Names of the pictures."""
    made: str
    """Digest of how the export is made."""
    rule: Rule | None
    """Its rejected pairs are left out, or marked in a column `rejected`."""
    mark: bool
    """Whether rejected pairs are marked."""
    passed: tuple[str, ...]
    """Further columns of the run, from its table of pairs, which become label columns."""
    max_pixels: int
    """The most pixels of an original."""
    max_bytes: int
    """The most bytes of an original."""

    def __call__(self, item: Item) -> int:
        """Returns the number of the item."""
        part_name = f"{PARTS}/{item.name(self.made)}"
        if self.store.exists(part_name):  # Ray has restarted the task
            return item.number
        left_out, origins = LeftOut(), list[dict[str, Any]]()
        writer = open_writer(self.format, self.store, self.labels)

        read = self._stylised if item.shard else self._originals

        def counted() -> Iterator[Example]:
            for example in read(item, left_out):
                origins.append({"file_name": example.name + example.extension, **example.origin})
                yield example

        part = writer.write(item.number, counted())
        done = {
            "stylised" if item.shard else "originals": len(origins),
            "left_out": left_out,
            "origins": origins if self.format in WITHOUT_ORIGINS else [],
        }
        head = json.dumps(done, ensure_ascii=False).encode()
        self.store.write(part_name, head + b"\n" + part)
        return item.number

    def _stylised(self, item: Item, left_out: LeftOut) -> Iterator[Example]:
        name = data_file(item.shard)
        keys = self.output.read_table(name, ["content"])["content"].unique().to_pylist()
        labels = self._labels(keys, self._places(item, keys))
        for group in self.output.row_groups(name):
            wanted = (*_COLUMNS, "split", *self.passed)
            if self.rule:
                rejected = self.rule.rejects(group)
                if self.mark:
                    group = group.append_column(MARK, rejected)
                else:
                    group = group.filter(pc.invert(rejected))
            for row in group.select([c for c in wanted if c in group.column_names]).to_pylist():
                label = labels.get(row["content"])
                if label is None:
                    raise OutputError(
                        f"{self.output.url}/{name} changed while it was exported: run the same "
                        "command again"
                    )
                if why := misfit(label, (row["width"], row["height"])):
                    left_out[row["content"]] = why
                else:
                    yield self._example(row, label)

    def _example(self, row: dict[str, Any], label: Label) -> Example:
        picture, params = row["image"]["bytes"], row["params"]
        path = row["image"]["path"]
        pair = row["content"], row["style"], row["k"], row["pair_id"]
        own = {name: params[name] for name in ("gamma", "temperature")}
        origin = {n: row.get(n) for n in ORIGIN} | own | {"original": False}
        return Example(
            name=self.names.stylised(*pair),
            extension=os.path.splitext(path)[1],
            picture=self._beside(path) if picture is None else picture,
            width=row["width"],
            height=row["height"],
            split=label.split or row.get("split") or "",
            label=self._with_passed(label, row),
            origin=origin,
        )

    def _with_passed(self, label: Label, row: Mapping[str, Any]) -> Label:
        passed = {name: row.get(name) for name in self.passed}
        if self.mark:
            passed[MARK] = bool(passed[MARK])  # None for an original
        return replace(label, columns={**passed, **label.columns}) if passed else label

    def _beside(self, path: str) -> bytes:
        try:
            return self.output.read(path)
        except FileNotFoundError:
            raise OutputError(
                f"{self.output.url}/{path} is missing: styleid-ray verify --repair removes its "
                "shard's file, and stylize makes it again"
            ) from None

    def _originals(self, item: Item, left_out: LeftOut) -> Iterator[Example]:
        wanted = [(key, place) for key, place, _ in item.originals]
        labels = self._labels(*map(list, zip(*wanted, strict=True)))
        for index, file in fetch_pictures(self.source, wanted, self.max_bytes):
            key, _, split = item.originals[index]
            try:
                if isinstance(file, RowError):
                    raise file
                size = upright_size(file.data, self.max_pixels)
            except RowError as error:
                if error.stage == "fetch":
                    raise SourceError(
                        f"--mix: the original {shown(key)} cannot be read ({error}): put it back, "
                        "or export without originals"
                    ) from error
                left_out[key] = f"its original: {error}"
                continue
            if why := misfit(labels[key], size):
                left_out[key] = why
                continue
            yield Example(
                name=self.names.original(key),
                extension=picture_extension(key, file.data),
                picture=file.data,
                width=size[0],
                height=size[1],
                split=labels[key].split or split,
                label=self._with_passed(labels[key], {}),
                origin=dict.fromkeys(ORIGIN) | {"content": key, "original": True},
            )

    def _labels(self, keys: list[str], places: list[str | None]) -> dict[str, Label]:
        return dict(zip(keys, self.labels.read(keys, places), strict=True))

    def _places(self, item: Item, keys: list[str]) -> list[str | None]:
        """The places of a shard's contents, from its part of the plan."""
        plan = plan_columns(self.output, item.part, ["content", "content_place"])
        plan = plan.filter(pc.field("content").isin(pa.array(keys, pa.string())))
        places = dict(zip(*(plan[c].to_pylist() for c in plan.column_names), strict=True))
        return [places.get(key) for key in keys]


def misfit(label: Label, size: tuple[int, int]) -> str | None:
    """Why labels do not fit a picture of this size: they were made for the picture rotated by 90°.
    None for labels that fit, or have no size."""
    # Labels at another scale are as valid as in their own dataset.
    if label.size is None or label.size == size or label.size != size[::-1]:
        return None
    width, height = label.size
    return (
        f"its labels were made before its EXIF rotation was applied: {width} x {height}, not "
        f"{size[0]} x {size[1]}"
    )
