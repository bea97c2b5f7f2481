"""The labels of a dataset's pictures, in a form that every export can use."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from styleid_ray.storage.store import Store


@dataclass(frozen=True)
class Label:
    """The labels of one picture."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    """Values of the label columns, as plain Python values."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Unchanged label files, by the part of their names after the picture's stem and a dot: xml,
    txt, json, mask.png ..."""
    folder: str = ""
    """Name of the class folder; '' for a picture of no class."""
    size: tuple[int, int] | None = None
    """Width and height in pixels of the picture that the coordinates were made for, where known."""
    split: str = ""
    """The split, if the key names one."""


class Labels(ABC):
    """Reads labels by the keys of pictures. Instances travel to the tasks of an export."""

    format: str
    """The dataset's format."""
    features: Mapping[str, Any]
    """Hugging Face features of the label columns, as `datasets` writes them in JSON."""
    geometry: bool = False
    """Whether labels have coordinates or masks, which are valid only at the picture's own size."""

    @property
    def header(self) -> Mapping[str, Any]:
        """Labels of the dataset as a whole: categories, names, licences ..."""
        return {}

    def prepared(self, work: Store) -> Self:
        """The same, ready for tasks on other machines; may write files at `work`."""
        return self

    @abstractmethod
    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """The labels of some pictures.

        Args:
            keys: of distinct pictures.
            places: the place of each in a larger file, or None.

        Raises:
            SourceError: a label file is missing or damaged; the message names it.
        """


@dataclass(frozen=True)
class WithColumns(Labels):
    """Labels with further columns, whose values the caller adds; `read` omits them."""

    inner: Labels
    extra: Mapping[str, Any]
    """Hugging Face features of the further columns."""

    @property
    def format(self) -> str:
        return self.inner.format

    @property
    def features(self) -> Mapping[str, Any]:
        return {**self.extra, **self.inner.features}

    @property
    def header(self) -> Mapping[str, Any]:
        return self.inner.header

    @property
    def geometry(self) -> bool:
        return self.inner.geometry

    def prepared(self, work: Store) -> Self:
        return replace(self, inner=self.inner.prepared(work))

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        return self.inner.read(keys, places)
