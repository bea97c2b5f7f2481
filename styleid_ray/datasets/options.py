"""Options for reading a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from styleid_ray.storage.locations import Options

T = TypeVar("T")
R = TypeVar("R")
_THREADS = 16


class Spread(Protocol):
    """Calls a function on many items somewhere, and yields the results in any order."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> Iterable[R]: ...


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Calls on threads of this process."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(function, items)


@dataclass(frozen=True)
class DatasetOptions:
    """Where a dataset lies and how it is to be read."""

    url: str
    what: str
    """"content" or "style", for the error messages."""
    format: str = "auto"
    """Its format; auto recognises it by its files."""
    annotations: tuple[str, ...] = ()
    """Annotation files of COCO; none for those below the location."""
    label_masks: str | None = None
    """Folder of label masks, one per picture."""
    splits: tuple[str, ...] = ()
    """The splits to take; none for train where there are splits."""
    storage_options: Options = field(default=None, repr=False)
    spread: Spread = field(default=in_threads, repr=False, compare=False)
    """Where many files are looked into."""

    def fault(self, message: str) -> Any:
        """A SourceError that names the option."""
        from styleid_ray.errors import SourceError

        return SourceError(f"--{self.what}: {message}")
