"""A picture of an export with its labels, and the interface of the formats' writers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Protocol, TypeVar

from styleid_ray.datasets.features import value_feature
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """A picture of an export: a stylised one, or an original."""

    name: str
    """File name without its extension and without dots, unique in the export."""
    extension: str
    """Extension of the picture's encoding, with its dot."""
    picture: bytes = field(repr=False)
    width: int
    height: int
    split: str
    """'' where the dataset has no splits."""
    label: Label
    origin: Mapping[str, Any]
    """Values of the columns `ORIGIN`."""


ORIGIN: Mapping[str, Any] = {
    "content": value_feature("string"),
    "style": value_feature("string"),
    "k": value_feature("int32"),
    "original": value_feature("bool"),
    "gamma": value_feature("float64"),
    "temperature": value_feature("float64"),
    "pair_id": value_feature("string"),
}
"""Columns of every export, with their Hugging Face features; style, k, gamma, temperature and
pair_id are null for an original."""
_AT_ONCE = 16


def each_written(write: Callable[[Example], T], examples: Iterable[Example]) -> Iterator[T]:
    """The result of `write` for each example, in order. A few are held and written at a time, since
    a store takes long for each."""
    examples = iter(examples)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while some := list(islice(examples, _AT_ONCE)):
            yield from pool.map(write, some)


class TextFiles(ExitStack):
    """Text files of a store that grow line by line, all put in place at the end."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.files: dict[str, BinaryIO] = {}

    def add(self, name: str, line: str) -> None:
        """Adds a line to a file."""
        if name not in self.files:
            self.files[name] = self.enter_context(self.store.writing(name))
        self.files[name].write(f"{line}\n".encode())


class Writer(Protocol):
    """Writes one export format.

    Tasks write a few hundred pictures each. A task returns a part: bytes from which `finish` makes
    the files that list all pictures. Writing an item twice gives the same files and part.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        """Raises ConfigError when the format cannot hold these labels."""
        ...

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes the pictures of the item of work with a number, from 0. `examples` is a stream;
        only a few are in memory."""
        ...

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes the files that list all pictures, and numbers the pictures. `parts` is a stream in
        the order of the items: memory does not grow with their number."""
        ...
