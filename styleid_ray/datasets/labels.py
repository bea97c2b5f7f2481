"""The labels of a dataset's pictures, in a form that every export can use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from styleid_ray.storage.store import Store


@dataclass(frozen=True)
class Label:
    """The labels of one picture."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    """Values of the label columns, as plain Python values."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Unchanged label files, by what follows the picture's stem without the first dot: xml, txt,
    json, mask.png ..."""
    folder: str = ""
    """Name of the class folder; '' for a picture of no class."""
    size: tuple[int, int] | None = None
    """Width and height in pixels that the coordinates were made for, where the dataset has them."""
    split: str = ""
    """The split, where the picture's key has it."""


class Labels(Protocol):
    """Reads labels back by the keys of pictures. Instances travel to the tasks of an export."""

    @property
    def format(self) -> str:
        """The dataset's format."""
        ...

    @property
    def features(self) -> Mapping[str, Any]:
        """Hugging Face features of the label columns, as `datasets` writes them in JSON."""
        ...

    @property
    def header(self) -> Mapping[str, Any]:
        """Labels of the dataset as a whole: categories, names, licences ..."""
        ...

    @property
    def geometry(self) -> bool:
        """Whether labels have coordinates or masks, which hold at the picture's own size alone."""
        ...

    def prepared(self, work: Store) -> Labels:
        """The same, ready for tasks on other machines; may write files at `work`."""
        ...

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """The labels of some pictures.

        Args:
            keys: of distinct pictures.
            places: of each, where it lies in a larger file.

        Raises:
            SourceError: a label file is missing or damaged; the message names it.
        """
        ...


@dataclass(frozen=True)
class WithColumns:
    """Labels with further columns, whose values the run itself has."""

    inner: Labels
    extra: Mapping[str, Any]
    """Hugging Face features of the columns."""

    @property
    def format(self) -> str:
        """That of the labels."""
        return self.inner.format

    @property
    def features(self) -> Mapping[str, Any]:
        """Those of the labels, and of the further columns."""
        return {**self.extra, **self.inner.features}

    @property
    def header(self) -> Mapping[str, Any]:
        """That of the labels."""
        return self.inner.header

    @property
    def geometry(self) -> bool:
        """As the labels."""
        return self.inner.geometry

    def prepared(self, work: Store) -> WithColumns:
        """The same with its labels prepared."""
        return replace(self, inner=self.inner.prepared(work))

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """The labels, without the further columns."""
        return self.inner.read(keys, places)
