"""The annotations of COCO by picture, in a table for tasks that one pass over each file makes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.coco.annotations import Annotations, ImageIndex, Record, Summary
from styleid_ray.datasets.coco.columns import Names, category_names, columns, features
from styleid_ray.datasets.coco.files import (
    AnnotationFile,
    annotation_files,
    below,
    check_panoptic,
    matches,
)
from styleid_ray.datasets.coco.label_table import LabelTable, Piece, make_table
from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import join, shown
from styleid_ray.storage.store import Store

PNG = "panoptic.png"
"""Name of a panoptic annotation's PNG among label files."""


def labels(options: DatasetOptions, contents: Source) -> CocoLabels:
    """The annotations of a run's contents."""
    if options.annotations:
        files = Files(options.url, contents.root, Keys(), Keys())
    else:
        files = list_files(options.url, options.what, options.storage_options)
    splits = contents.splits and set(pc.unique(contents.splits.array).to_pylist())
    chosen = [
        file for file in annotation_files(files, options) if not splits or file.split in splits
    ]
    if not chosen:
        raise options.fault(
            f"{shown(options.url)} no longer has annotation files for the splits of the run: put "
            "them back, or name them with --annotations"
        )
    summaries = {file.name: _summary(file, options) for file in chosen}
    check_panoptic([file for file in chosen if summaries[file.name].panoptic], options)
    order = pc.sort_indices(Keys(contents.keys).array)
    keys = Keys(contents.keys).take(order)
    return CocoLabels(tuple(chosen), summaries, replace(options, spread=in_threads), keys)


def _summary(file: AnnotationFile, options: DatasetOptions) -> Summary:
    with file.opened(options) as source:
        source.categories()
        return source.summary()


@dataclass(frozen=True)
class CocoLabels(Labels):
    """The image record of a picture and its annotations in each file, unchanged.

    `Label.files["json"]` is `{"image": RECORD, "annotations": {FILE: [RECORD, ...]}}`, with an
    entry for each file that lists the picture. Where the files' image records differ, RECORD has
    the fields of all, and the first file's values.
    """

    files: tuple[AnnotationFile, ...]
    summaries: Mapping[str, Summary] = field(repr=False)
    """Summary of each file, by its name."""
    options: DatasetOptions
    keys: Keys = field(repr=False)
    """Sorted keys of the contents; none after `prepared`."""
    table: LabelTable | None = None
    format = "coco"

    @cached_property
    def _names(self) -> tuple[Names, tuple[str, ...]]:
        return category_names(self.summaries)

    @cached_property
    def features(self) -> Mapping[str, Any]:
        """Columns objects, segments and captions, where there are such annotations."""
        return features(self.summaries.values(), self._names[1])

    @property
    def header(self) -> Mapping[str, Any]:
        """`files`: the name of each annotation file, its split, and its fields except images and
        annotations."""
        files = [
            {"name": file.name, "split": file.split, "fields": self.summaries[file.name].header}
            for file in self.files
        ]
        return {"files": files}

    @property
    def geometry(self) -> bool:
        """False for captions alone."""
        return not all(summary.captions for summary in self.summaries.values())

    def prepared(self, work: Store) -> CocoLabels:
        """The same with a table of all labels, written to `labels.parquet` in the work folder;
        raises SourceError for a damaged annotation file, or a content in none."""
        with ExitStack() as stack:
            opened = [stack.enter_context(file.opened(self.options)) for file in self.files]
            name = f"{work.work}/labels.parquet"
            table = make_table(work, name, self.keys, self._pieces(opened), self._whole)
        return replace(self, keys=Keys(), table=table)

    def _pieces(self, opened: list[Annotations]) -> Iterator[Piece]:
        """Records of images and annotations, each after its file's number and its kind."""
        covered = np.zeros(len(self.keys), bool)
        for number, (file, source) in enumerate(zip(self.files, opened, strict=True)):
            index = source.index()
            at = self._numbers(file, index)
            covered[at[at >= 0]] = True
            yield from _lines(b"%d i" % number, at, enumerate(source.records("images")))
            yield from _lines(b"%d a" % number, at, source.placed(index))
        missing = np.flatnonzero(~covered)
        if len(missing):
            names = self.keys.take(pa.array(missing)).first_few()
            files = ", ".join(shown(file.url) for file in self.files)
            raise self.options.fault(
                f"{len(missing):,} contents of the run are in none of {files}: {names}; put their "
                "images back, or name the annotation files with --annotations"
            )

    def _numbers(self, file: AnnotationFile, index: ImageIndex) -> np.ndarray:
        """The number of each image's content, int64 [I]; -1 for an image that is no content."""
        counts = matches(file, index.names, self.keys)
        keys = below(max(counts, key=lambda folder: counts[folder]), index.names)
        numbers = pc.index_in(keys, value_set=self.keys.array)
        return pc.fill_null(numbers, -1).to_numpy().astype(np.int64)

    def _whole(self, pieces: list[bytes]) -> bytes:
        """The JSON of one picture."""
        images: list[bytes] = []
        records: dict[str, list[bytes]] = defaultdict(list)
        for piece in pieces:
            number, kind, text = piece.split(b" ", 2)
            annotations = records[self.files[int(number)].name]
            (images if kind == b"i" else annotations).append(text)
        lists = b", ".join(
            json.dumps(name).encode() + b": [" + b", ".join(texts) + b"]"
            for name, texts in records.items()
        )
        return b'{"image": ' + _merged(images) + b', "annotations": {' + lists + b"}}"

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        assert self.table, "not prepared"
        texts = self.table.read(keys)
        lost = [key for key, text in zip(keys, texts, strict=True) if text is None]
        if lost:
            raise self.options.fault(f"{shown(lost[0])} is not a content of the run")
        return list(in_threads(self._label, [text for text in texts if text is not None]))

    def _label(self, text: bytes) -> Label:
        content = json.loads(text)
        image, annotations = content["image"], content["annotations"]
        size = image.get("width"), image.get("height")
        files = {"json": text}
        for file in self.files:
            for record in annotations.get(file.name, ()):
                if "segments_info" in record:  # in one record at most
                    files[PNG] = self._png(file, record["file_name"])
        return Label(
            columns(annotations, self.features, self._names[0]),
            files,
            size=size if all(isinstance(side, int) for side in size) else None,
        )

    def _png(self, file: AnnotationFile, name: str) -> bytes:
        urls = [join(folder, name) for folder in file.png_folders]
        errors: list[RowError] = []
        for url in urls:
            try:
                return read_bytes(url, self.options.storage_options)
            except RowError as error:
                errors.append(error)
        raise self.options.fault(f"{shown(urls[0])}: {errors[0]}") from errors[0]


def _lines(mark: bytes, at: np.ndarray, records: Iterable[tuple[int, Record]]) -> Iterator[Piece]:
    """Records as JSON after a mark, by the number of their image's content.

    Args:
        at: the number of each image's content, int64 [I]; -1 for an image that is no content.
        records: each with the index of its image.
    """
    numbers = at.tolist()
    for image, record in records:
        if numbers[image] >= 0:
            text = json.dumps(record, ensure_ascii=False).encode()
            yield numbers[image], b"%b %b" % (mark, text)


def _merged(images: list[bytes]) -> bytes:
    if len(set(images)) == 1:
        return images[0]
    record: Record = {}
    for image in images:
        record = {**json.loads(image), **record}
    return json.dumps(record, ensure_ascii=False).encode()
