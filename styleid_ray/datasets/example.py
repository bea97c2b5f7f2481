"""A picture of an export with its labels, and what writes many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """A picture of an export: a stylised one, or an original."""

    name: str
    """File name without its extension, unique in the export; it holds no dot."""
    short: str
    """The same, unique in the class folder of its split alone."""
    extension: str
    """Extension of the picture's encoding, with its dot."""
    picture: bytes = field(repr=False)
    width: int
    height: int
    split: str
    """'' where the dataset has no splits."""
    label: Label
    origin: Mapping[str, Any]
    """Where it comes from: columns `ORIGIN`."""


ORIGIN: Mapping[str, Any] = {
    "content": {"dtype": "string", "_type": "Value"},
    "style": {"dtype": "string", "_type": "Value"},
    "k": {"dtype": "int32", "_type": "Value"},
    "original": {"dtype": "bool", "_type": "Value"},
    "gamma": {"dtype": "float64", "_type": "Value"},
    "temperature": {"dtype": "float64", "_type": "Value"},
    "pair_id": {"dtype": "string", "_type": "Value"},
}
"""Columns of every export, with their Hugging Face features; style, k, gamma, temperature and
pair_id are null for an original."""


_AT_ONCE = 16


def each_written(write: Callable[[Example], T], examples: Iterable[Example]) -> Iterator[T]:
    """The result of `write` for each example, in order. A few are written at a time, since a store
    is slow for each; no more are held."""
    examples = iter(examples)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while some := list(islice(examples, _AT_ONCE)):
            yield from pool.map(write, some)


class Writer(Protocol):
    """Writes one export format.

    Pictures are written by tasks, a few hundred each; a task returns a part: bytes from which
    `finish` makes the files that list all pictures. A part that is written twice is the same.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        """Raises ConfigError when these labels cannot be written in this format."""
        ...

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes the pictures of one item of work.

        Args:
            item: its number, from 0.
            examples: read in passing; not all are held at once.
        """
        ...

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes what lists all pictures, from the parts in the order of their items, each read
        when it is needed: memory does not grow with their number. Numbers that count all
        pictures are given here."""
        ...
