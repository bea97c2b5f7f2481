"""The files of a source's pictures, from any location."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import Fetched, check_size, fetch
from styleid_ray.storage.members import (
    Range,
    Row,
    container,
    fetch_member,
    fetch_rows,
    member_of,
    picture_in,
)

Wanted = tuple[str, str | None]
"""Key of a picture, and its place in a larger file if it lies in one."""


def read_together(wanted: Sequence[Wanted]) -> list[list[int]]:
    """The pictures that one call should read, as groups of indices into `wanted`: all rows of one
    row group of a Parquet file, or any other picture alone."""
    groups: dict[object, list[int]] = defaultdict(list)
    for index, (key, place) in enumerate(wanted):
        member = member_of(place) if place else None
        group = (container(key), member.group) if isinstance(member, Row) else index
        groups[group].append(index)
    return list(groups.values())


def fetch_pictures(
    source: Source, wanted: Sequence[Wanted], max_bytes: int | None = None
) -> Iterator[tuple[int, Fetched | RowError]]:
    """The files of some pictures, one at a time, each with its index in `wanted`; a RowError stands
    for a file that cannot be read."""
    for indices in read_together(wanted):
        key, place = wanted[indices[0]]
        member = member_of(place) if place else None
        if isinstance(member, Row):
            rows = [(member_of(wanted[index][1] or ""), index) for index in indices]
            yield from _rows(source, container(key), rows, max_bytes)
            continue
        try:
            yield indices[0], _file(source, key, member, max_bytes)
        except RowError as error:
            yield indices[0], error


def fetch_picture(
    source: Source, key: str, place: str | None = None, max_bytes: int | None = None
) -> Fetched:
    """The file of one picture; raises RowError when it cannot be read."""
    ((_, file),) = fetch_pictures(source, [(key, place)], max_bytes)
    if isinstance(file, RowError):
        raise file
    return file


def _file(source: Source, key: str, member: Range | None, max_bytes: int | None) -> Fetched:
    if member is None:
        return fetch(source.url(key), source.storage_options, max_bytes)
    url = source.url(container(key))
    return Fetched(fetch_member(url, source.storage_options, member, max_bytes))


def _rows(
    source: Source, file: str, rows: Sequence[tuple[Any, int]], max_bytes: int | None
) -> Iterator[tuple[int, Fetched | RowError]]:
    """Pictures of one row group, given with their indices, in the order of its rows."""
    left = sorted(rows, key=lambda one: one[0].row)
    first, numbers = left[0][0], [row.row for row, _ in left]
    url, options = source.url(file), source.storage_options
    try:
        for table in fetch_rows(url, options, first.group, [first.column], numbers):
            for value in table[first.column]:
                yield left.pop(0)[1], _picture(value.as_py(), max_bytes)
    except RowError as error:
        for _, index in left:
            yield index, error


def _picture(value: object, max_bytes: int | None) -> Fetched | RowError:
    try:
        data = picture_in(value)
        check_size(len(data), max_bytes)
    except RowError as error:
        return error
    return Fetched(data)
