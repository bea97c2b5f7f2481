"""Files of tables, each read as a whole: CSV, JSONL, Parquet, and JSON mappings of pairs."""

import os
import re
from collections.abc import Mapping
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


def check_none(bad: pa.ChunkedArray | np.ndarray, where: str, message: str) -> None:
    """Raises SourceError for the first row [P] that is bad; `where` names the table."""
    rows = pc.indices_nonzero(bad if isinstance(bad, pa.ChunkedArray) else pa.array(bad))
    if len(rows):
        raise SourceError(f"{where}: row {rows[0].as_py() + 1}: {message}")


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
