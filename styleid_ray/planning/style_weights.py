"""Weights of styles: CSV, JSONL or Parquet with columns style and weight."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.keys import Keys
from styleid_ray.errors import SourceError, first_line
from styleid_ray.planning.table_files import read_file, without_dot
from styleid_ray.storage.locations import Options, shown

_TYPES = {"style": pa.string(), "weight": pa.float64()}


def read_weights(url: str, styles: Sequence[str], storage_options: Options = None) -> np.ndarray:
    """The weight of each style, float64 [S]: 1 for a style that the file does not name.

    Args:
        url: the file.
        styles: keys of all styles of the source.
        storage_options: for opening its filesystem.

    Raises:
        SourceError: the file cannot be read, names an unknown style or one twice, or has a weight
            that is negative or not finite.
    """
    table = _read(url, storage_options)
    names = without_dot(table["style"])
    keys = styles if isinstance(styles, Keys) else Keys(styles)
    places = pc.index_in(names, keys.array)
    row = pc.index(pc.is_null(places), True).as_py()
    if row >= 0:
        name = names[row].as_py()
        raise _fault(
            url,
            f"row {row + 1}: --style has no picture {shown(name) if name else '(empty)'}; name "
            "styles by their paths below --style",
        )
    index, given = places.to_numpy(), table["weight"].to_numpy()
    bad = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
    if len(bad):
        raise _fault(
            url, f"row {bad[0] + 1}: weight {given[bad[0]]:g}: must be 0 or a positive number"
        )
    again = np.setdiff1d(np.arange(len(index)), np.unique(index, return_index=True)[1])
    if len(again):
        name = shown(names[int(again[0])].as_py())
        raise _fault(url, f"row {again[0] + 1}: {name} is named twice")
    weights = np.ones(len(keys))
    weights[index] = given
    return weights


def _read(url: str, storage_options: Options) -> pa.Table:
    table = read_file(url, "style-weights", _TYPES, storage_options)
    absent = [name for name in _TYPES if name not in table.column_names]
    if absent:
        raise _fault(
            url,
            f"has no column {' and no column '.join(absent)}; its columns: "
            f"{shown(', '.join(table.column_names))}",
        )
    try:
        return pa.table({name: table[name].cast(kind) for name, kind in _TYPES.items()})
    except (pa.ArrowException, KeyError) as error:
        raise _fault(url, f"is not valid: {shown(first_line(error))[:300]}") from error


def _fault(url: str, message: str) -> SourceError:
    return SourceError(f"--style-weights {shown(url)}: {message}")
