"""Strings in one Arrow array, in a tenth of the memory of Python strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.storage.locations import shown

_CHUNK = 2**16
_MOST_NAMED = 3


class Keys(Sequence[str]):
    """A sequence of strings, equal to a tuple with the same items. The caller sorts them."""

    def __init__(self, texts: Iterable[str] | pa.Array = ()) -> None:
        """Keeps an Arrow array of strings; copies anything else chunk by chunk."""
        self.array: pa.StringArray = (
            texts if isinstance(texts, pa.Array) else pa.concat_arrays(_chunks(texts))
        )

    @classmethod
    def column(cls, column: pa.ChunkedArray) -> Keys:
        """The strings of a table's column."""
        return cls(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.array), _CHUNK):
            yield from self.array.slice(start, _CHUNK).to_pylist()

    def index(self, value: str, start: int = 0, stop: int | None = None) -> int:
        """The first position of a string; raises ValueError where there is none."""
        place = pc.index(self.array[start:stop], value).as_py()
        if place < 0:
            raise ValueError(f"{value!r} is not in the sequence")
        return start + place

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Keys: ...
    def __getitem__(self, index: int | slice) -> str | Keys:
        if isinstance(index, slice):
            return Keys(self.array[index])
        return self.array[index].as_py()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Keys):
            return self.array.equals(other.array)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return repr(tuple(self))

    def take(self, indices: pa.Array) -> Keys:
        """The strings at some indices, int [T]."""
        return Keys(self.array.take(indices))

    def without(self, others: Keys) -> Keys:
        """The strings that are not among others."""
        return Keys(self.array.filter(pc.invert(pc.is_in(self.array, value_set=others.array))))

    def first_few(self) -> str:
        """The first strings and the number of the rest, for a message."""
        more = len(self) - _MOST_NAMED
        return ", ".join(map(shown, self[:_MOST_NAMED])) + f" and {more:,} more" * (more > 0)


def first_repeated(values: pa.Array) -> tuple[int, int] | None:
    """The indices of the first two equal values; None where all differ."""
    counts = pc.value_counts(values)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if not len(repeated):
        return None
    first, second, *_ = pc.indices_nonzero(pc.equal(values, repeated[0])).to_pylist()
    return first, second


def _chunks(texts: Iterable[str]) -> list[pa.Array]:
    texts = iter(texts)
    chunks = [pa.array([], pa.string())]
    while chunk := list(islice(texts, _CHUNK)):
        chunks.append(pa.array(chunk, pa.string()))
    return chunks
