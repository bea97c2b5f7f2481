"""Files of tables, each read as a whole: CSV, JSONL, Parquet, and JSON mappings of pairs."""

import os
import re
from collections.abc import Iterable, Mapping
from functools import partial

import ijson
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.errors import RowError, SourceError, first_line
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, extension, shown

_CHUNK = 2**16
_NO_OBJECT = [
    re.compile(start + rb"[ \t]*([^ \t\r\n{])")
    for start in (rb"(?:\xef\xbb\xbf)?+", rb"\n", rb"\r")
]
"""Match the first byte of a line whose value is no object: on the first line, which may have a byte
order mark, and on others."""


def read_file(
    url: str,
    option: str,
    types: Mapping[str, pa.DataType],
    storage_options: Options = None,
    mappings: bool = False,
) -> pa.Table:
    """Read a table by the ending of its name.

    Args:
        url: the file: .csv, .jsonl, .ndjson or .parquet.
        option: its command-line option, such as "table".
        types: of columns of a CSV; other columns' types are inferred.
        storage_options: for opening its filesystem.
        mappings: whether it may be .json, an object {content: [style, ...]} or {content: style}.

    Raises:
        SourceError: the file cannot be read, or is not valid.
    """
    kind = extension(url)
    reader = {
        ".csv": partial(_read_csv, types),
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".parquet": _read_parquet,
        **({".json": _read_mapping} if mappings else {}),
    }.get(kind)
    if reader is None:
        endings = ".csv, .json, .jsonl or .parquet" if mappings else ".csv, .jsonl or .parquet"
        raise SourceError(f"--{option} {shown(url)}: must end in {endings}")
    try:
        table = reader(pa.BufferReader(read_bytes(os.path.expanduser(url), storage_options)))
        _ = table.column_names  # fails where a name is not UTF-8
    except RowError as error:
        raise SourceError(f"--{option} {shown(url)}: {error}") from error
    except (pa.ArrowException, OSError, ValueError, ijson.JSONError) as error:
        raise SourceError(
            f"--{option} {shown(url)} is not valid {kind[1:]}: {shown(first_line(error))[:300]}"
        ) from error
    return table


def check_columns(table: pa.Table, needed: Iterable[str], where: str) -> None:
    """Raises SourceError for a missing column, or several of one name; `where` names the table."""
    names = table.column_names
    if absent := [name for name in needed if name not in names]:
        raise SourceError(
            f"{where} has no column {' and no column '.join(absent)}; "
            f"its columns: {shown(', '.join(names) or 'none')}"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{where} has more than one column {shown(', '.join(twice))}")


def as_type(table: pa.Table, name: str, kind: pa.DataType, where: str) -> pa.ChunkedArray:
    """A column as another type; raises SourceError where that is not possible. Only text becomes
    text."""
    column, text = table[name], pa.types.is_string(kind)
    try:
        if text and not is_text(column.type):
            raise pa.ArrowInvalid(f"it holds {column.type}, not text")
        column = column.cast(kind)
        if text:
            column.validate(full=True)  # a Parquet file may hold text that is not UTF-8
    except pa.ArrowException as error:
        raise SourceError(
            f"{where}: column {name} must hold {'text' if text else kind}: "
            f"{shown(str(error))[:200]}"
        ) from error
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text, or a dictionary of texts."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
    return any(test(value) for test in tests)


def check_none(
    bad: pa.Array | pa.ChunkedArray | np.ndarray,
    where: str,
    message: str,
    values: pa.ChunkedArray | None = None,
) -> None:
    """Raises SourceError for the first row [P] that is bad; `where` names the table. With values,
    {} in the message stands for the row's value."""
    rows = pc.indices_nonzero(pa.array(bad) if isinstance(bad, np.ndarray) else bad)
    if len(rows):
        row = rows[0].as_py()
        if values is not None:
            value = values[row].as_py()
            text = f"{value:g}" if isinstance(value, float) else shown(value or "(empty)")
            message = message.format(text)
        raise SourceError(f"{where}: row {row + 1}: {message}")


def without_dot(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Keys without a leading './': './a.png' and 'a.png' are one picture and must have one key."""
    return pc.replace_substring_regex(column, r"\A(?:\./+)+", "")


def _read_csv(types: Mapping[str, pa.DataType], data: pa.BufferReader) -> pa.Table:
    return pyarrow.csv.read_csv(
        data,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types),
    )


def _read_jsonl(data: pa.BufferReader) -> pa.Table:
    _check_lines(memoryview(data.read_buffer()))
    data.seek(0)
    return pyarrow.json.read_json(
        data,
        read_options=pyarrow.json.ReadOptions(block_size=2**24),
        parse_options=pyarrow.json.ParseOptions(newlines_in_values=False),
    )


def _check_lines(text: memoryview) -> None:
    """Raises ValueError where a line holds no object. Arrow crashes the process where a block of
    lines begins with null."""
    first, *others = _NO_OBJECT
    matches = [first.match(text), *(other.search(text) for other in others)]
    if places := [match.start(1) for match in matches if match]:
        row = 1 + len(re.findall(rb"\r\n|\r|\n", text[: min(places)]))
        raise ValueError(f"row {row} is no object: write one object per line")


def _read_mapping(data: pa.BufferReader) -> pa.Table:
    """JSON {content: [style, ...]}, or {content: style}."""
    contents, styles, chunks = list[str](), list[str](), list[pa.Table]()

    def cut() -> None:
        columns = [pa.array(keys, pa.string()).dictionary_encode() for keys in (contents, styles)]
        chunks.append(pa.table(columns, names=["content", "style"]).unify_dictionaries())
        contents.clear()
        styles.clear()

    for content, value in ijson.kvitems(data, ""):
        own = [value] if isinstance(value, str) else value
        if not isinstance(own, list) or not all(isinstance(style, str) for style in own):
            raise ValueError(f"{content!r} must have a list of styles")
        contents.extend([content] * len(own))
        styles.extend(own)
        if len(contents) >= _CHUNK:
            cut()
    cut()
    table = pa.concat_tables(chunks).unify_dictionaries()
    if not table.num_rows:
        raise ValueError("it must be an object {content: [style, ...]} that has pairs")
    return table


def _read_parquet(data: pa.BufferReader) -> pa.Table:
    return pq.ParquetFile(data).read()
