"""Labels of Parquet datasets: all columns except the picture's."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from styleid_ray.datasets.containers import folder_name
from styleid_ray.datasets.features import kind_of
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.parquet.schema import label_features, own_name, read_footer, stem_of
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.webdataset.reader import has_geometry
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.formats import picture_extension
from styleid_ray.storage.fetch import reason
from styleid_ray.storage.locations import shown
from styleid_ray.storage.members import Row, container, fetch_rows, member_of


def labels(options: DatasetOptions, contents: Source) -> ParquetLabels:
    """The label columns of a run's contents; raises SourceError when their files cannot be read."""
    key = contents.keys[0]
    file = container(key)
    try:
        footer = read_footer(contents.url(file), options.storage_options)
    except Exception as error:  # each filesystem has its own errors
        raise options.fault(
            f"{shown(file)} cannot be read ({reason(error, options.storage_options)}): put back "
            "the file that the run was planned with"
        ) from error
    schema = footer.schema.to_arrow_schema()
    assert contents.places is not None
    member = member_of(contents.places[0])
    assert isinstance(member, Row)
    features = label_features(schema, member.column, options, file)
    return ParquetLabels(contents.place, features)


@dataclass(frozen=True)
class ParquetLabels(Labels):
    """Unchanged label columns; further pictures (masks ...) as files: `COLUMN.png`."""

    place: Source
    """The source, for the locations of its keys."""
    columns: Mapping[str, Any]
    """The feature of each column, by its name in the files."""
    format = "parquet"

    @cached_property
    def names(self) -> dict[str, str]:
        """The name of each column in exports, whose own columns have some of the names."""
        return {name: own_name(name, self.columns) for name in self.columns}

    @property
    def features(self) -> Mapping[str, Any]:
        return {own: self.columns[name] for name, own in self.names.items()}

    @property
    def header(self) -> Mapping[str, Any]:
        """The features, and the names of the classes where there are classes."""
        names = {} if self._class_names is None else {"names": self._class_names}
        return {"features": self.features, **names}

    @cached_property
    def geometry(self) -> bool:
        """Whether a column is named like coordinates or masks, or holds further pictures."""
        return has_geometry(self.columns) or any(map(_is_image, self.columns.values()))

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        groups: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for index, (key, place) in enumerate(zip(keys, places, strict=True)):
            member = member_of(place or "")
            assert isinstance(member, Row)
            groups[container(key), member.group].append((member.row, index))
        labels: dict[int, Label] = {}
        for some in in_threads(lambda one: self._group(*one), list(groups.items())):
            labels |= some
        return [labels[index] for index in range(len(keys))]

    def _group(self, where: tuple[str, int], rows: Sequence[tuple[int, int]]) -> dict[int, Label]:
        """The labels of rows of one row group, by their index."""
        file, group = where
        if not self.columns:
            return {index: Label() for _, index in rows}
        ordered, columns = sorted(rows), list(self.columns)
        numbers = [row for row, _ in ordered]
        url, options = self.place.url(file), self.place.storage_options
        values: list[dict[str, Any]] = []
        try:
            for table in fetch_rows(url, options, group, columns, numbers):
                values += table.select(columns).to_pylist()
        except RowError as error:
            raise SourceError(
                f"--content: the labels in {shown(file)} cannot be read ({error}): put back the "
                "file that the run was planned with"
            ) from error
        return {index: self._label(row) for (_, index), row in zip(ordered, values, strict=True)}

    def _label(self, row: Mapping[str, Any]) -> Label:
        plain: dict[str, Any] = {}
        files: dict[str, bytes] = {}
        for name, value in row.items():
            if not _is_image(self.columns[name]):
                plain[name] = value
            elif data := value.get("bytes") if isinstance(value, dict) else value:
                files[f"{stem_of(self.names[name])}{_extension(data)}"] = data
        if plain:
            text = json.dumps(_without_bytes(plain), ensure_ascii=False, default=str)
            files["json"] = text.encode()
        value, names, folder = row.get(self._class), self._class_names, ""
        if names is None:
            folder = folder_name(value or "")
        elif value is not None and value >= 0:
            files["cls"] = str(value).encode()
            folder = folder_name(names[value]) if value < len(names) else ""
        size = row.get("width"), row.get("height")
        known = self.geometry and all(isinstance(side, int) for side in size)
        columns = {self.names[name]: value for name, value in plain.items()}
        return Label(columns, files, folder, size if known else None)  # pyright: ignore

    @cached_property
    def _class(self) -> str:
        """The column of the class; '' where there is none."""
        classes = [name for name, kind in self.columns.items() if kind_of(kind) == "ClassLabel"]
        label = self.columns.get("label", {})
        is_text = kind_of(label) == "Value" and label["dtype"] in ("string", "large_string")
        if "label" in classes or is_text:
            return "label"
        return classes[0] if len(classes) == 1 else ""

    @property
    def _class_names(self) -> list[str] | None:
        """The names of the classes; None for a class as text, or without a class."""
        feature = self.columns.get(self._class, {})
        return feature["names"] if kind_of(feature) == "ClassLabel" else None


def _is_image(feature: Any) -> bool:
    return kind_of(feature) == "Image"


def _extension(data: bytes) -> str:
    with suppress(Exception):  # bytes that are no picture make decoders raise nearly anything
        return picture_extension("", data)
    return ".png"


def _without_bytes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {n: _without_bytes(v) for n, v in value.items() if not isinstance(v, bytes)}
    if isinstance(value, list):
        return [_without_bytes(one) for one in value if not isinstance(one, bytes)]
    return value
