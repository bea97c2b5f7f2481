"""The pairs of a plan in a file that `--pairing table` takes."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.planning.columns import codes, plain
from styleid_ray.planning.mask_names import MASK_COLUMN
from styleid_ray.storage.locations import Options, extension, shown
from styleid_ray.storage.store import Store

_ROWS = 2**16


def check_pairs_file(url: str) -> None:
    """Raises ConfigError when a file of this name cannot hold pairs."""
    if extension(url) not in _WRITERS:
        raise ConfigError(f"--save-pairs {shown(url)}: must end in {', '.join(_WRITERS)}")


def save_pairs(table: pa.Table, url: str, storage_options: Options = None) -> None:
    """Write pairs as JSON {content: [style, ...]}, or as a table of CSV, JSONL or Parquet.

    Args:
        table: columns content, style, k, gamma, temperature and others, as `Pairs` has them.
        url: local path or URL; its ending chooses the kind of file.
        storage_options: for opening its filesystem.

    Raises:
        ConfigError: the file is JSON, and pairs have more than a content and a style.
        OutputError: the file exists, or cannot be written; then none is left there.
    """
    check_pairs_file(url)
    names = [name for name in table.column_names if name != "split" and _has_values(table, name)]
    table = table.select(names)
    names = ["mask" if name == MASK_COLUMN else name for name in names]
    table = table.rename_columns(names)
    kind = extension(url)
    if kind == ".json" and len(names) > 2:
        raise ConfigError(
            f"--save-pairs {shown(url)}: JSON holds contents and styles alone, and these pairs "
            f"have {', '.join(map(shown, names[2:]))}: end the name in .csv, .jsonl or .parquet"
        )
    store, name = Store.at_file(url, "save-pairs", storage_options)
    if store.exists(name):
        raise OutputError(f"--save-pairs {shown(url)} exists: name another file, or remove it")
    with store.writing(name) as file:
        _WRITERS[kind](table, file)


def _has_values(table: pa.Table, name: str) -> bool:
    """Whether a column has values other than the default, as k and parameters may not."""
    if name == "k":
        return bool(pc.any(pc.not_equal(table[name], 0)).as_py())
    return table[name].null_count < table.num_rows


def _chunks(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, _ROWS):
        yield plain(table.slice(start, _ROWS))


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for chunk in _chunks(table):
        yield from chunk.to_pylist()


def _write_json(table: pa.Table, file: Any) -> None:
    # Each content once, whatever the order of the pairs: of a repeated key only one would remain.
    table = table.take(pa.array(np.argsort(codes(table["content"]), kind="stable")))
    separator = "{\n"
    for content, rows in groupby(_rows(table), key=lambda row: row["content"]):
        styles = [row["style"] for row in rows]
        line = f"  {json.dumps(content, ensure_ascii=False)}: "
        file.write((separator + line + json.dumps(styles, ensure_ascii=False)).encode())
        separator = ",\n"
    file.write(b"\n}\n")


def _write_chunks(open_writer: Callable[..., Any], table: pa.Table, file: Any) -> None:
    with open_writer(file, plain(table.slice(0, 0)).schema) as writer:
        for chunk in _chunks(table):
            writer.write_table(chunk)


def _write_lines(table: pa.Table, file: Any) -> None:
    for row in _rows(table):
        file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")


_WRITERS = {
    ".json": _write_json,
    ".csv": partial(_write_chunks, pyarrow.csv.CSVWriter),
    ".jsonl": _write_lines,
    ".parquet": partial(_write_chunks, partial(pq.ParquetWriter, compression="zstd")),
}
