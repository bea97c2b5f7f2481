"""Options for reading a dataset."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from styleid_ray.datasets.keys import Keys
from styleid_ray.errors import RowError, SourceError
from styleid_ray.storage.fetch import read_bytes, reason
from styleid_ray.storage.locations import Options, shown

T = TypeVar("T")
R = TypeVar("R")
_THREADS = 16


class Spread(Protocol):
    """Calls a function on many items, in threads or on a cluster; yields results in any order."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> Iterable[R]: ...


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The result of a function for each item, in order, from threads of this process."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(function, items)


@dataclass(frozen=True)
class DatasetOptions:
    """Where a dataset lies and how to read it."""

    url: str
    what: str
    """"content" or "style", for error messages."""
    format: str = "auto"
    """The dataset format; auto recognises it by the files."""
    annotations: tuple[str, ...] = ()
    """Annotation files of COCO; by default the ones below the location."""
    label_masks: str | None = None
    """Folder of label masks, one per picture."""
    splits: tuple[str, ...] = ()
    """The splits to take; by default train, where there are splits."""
    storage_options: Options = field(default=None, repr=False)
    spread: Spread = field(default=in_threads, repr=False, compare=False)
    """Runs the work that reads many files."""

    def fault(self, message: str) -> SourceError:
        """A SourceError that names the option."""
        return SourceError(f"--{self.what}: {message}")

    def unreadable(self, file: str, error: Exception) -> SourceError:
        """The error for a file that a filesystem cannot read."""
        return self.fault(
            f"{shown(file)} cannot be read ({reason(error, self.storage_options)}): check the "
            "address, the credentials and the endpoint"
        )

    def read_list(self, url: str) -> Keys:
        """The lines of a text file without surrounding blanks; empty lines are skipped. Raises
        SourceError when the file cannot be read, or is not UTF-8."""
        try:
            file = io.TextIOWrapper(io.BytesIO(read_bytes(url, self.storage_options)), "utf-8-sig")
            return Keys(line.strip() for line in file if line.strip())
        except (RowError, UnicodeDecodeError) as error:
            raise self.fault(f"{shown(url)}: {error}") from error
