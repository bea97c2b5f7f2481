"""The files of a source's pictures, from any location."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

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
        members = {index: member_of(place) for index in indices if (place := wanted[index][1])}
        rows = {index: one for index, one in members.items() if isinstance(one, Row)}
        if rows:
            yield from _rows(source, container(wanted[indices[0]][0]), rows, max_bytes)
            continue
        for index in indices:
            member = members.get(index)
            assert not isinstance(member, Row)
            try:
                yield index, _file(source, wanted[index][0], member, max_bytes)
            except RowError as error:
                yield index, error


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
    source: Source, file: str, rows: Mapping[int, Row], max_bytes: int | None
) -> Iterator[tuple[int, Fetched | RowError]]:
    """Pictures of one row group, in the order of its rows."""
    left = sorted(rows, key=lambda index: rows[index].row)
    first = rows[left[0]]
    numbers = [rows[index].row for index in left]
    url, options = source.url(file), source.storage_options
    try:
        for table in fetch_rows(url, options, first.group, [first.column], numbers):
            for value in table[first.column]:
                yield left.pop(0), _picture(value.as_py(), max_bytes)
    except RowError as error:
        for index in left:
            yield index, error


def _picture(value: object, max_bytes: int | None) -> Fetched | RowError:
    try:
        data = picture_in(value)
        check_size(len(data), max_bytes)
    except RowError as error:
        return error
    return Fetched(data)
