"""Weights of styles: CSV, JSONL or Parquet with columns style and weight."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.keys import Keys
from styleid_ray.planning.table_files import (
    as_type,
    check_columns,
    check_none,
    read_file,
    without_dot,
)
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
    where = f"--style-weights {shown(url)}"
    table = read_file(url, "style-weights", _TYPES, storage_options)
    check_columns(table, _TYPES, where)
    names, given = (as_type(table, name, kind, where) for name, kind in _TYPES.items())
    names = without_dot(names)
    keys = styles if isinstance(styles, Keys) else Keys(styles)
    places = pc.index_in(names, keys.array)
    unknown = "--style has no picture {}; name styles by their paths below --style"
    check_none(places.is_null(), where, unknown, names)
    index, values = places.to_numpy(), given.to_numpy()
    bad = ~(np.isfinite(values) & (values >= 0))
    check_none(bad, where, "weight {}: must be 0 or a positive number", given)
    again = np.ones(len(index), bool)
    again[np.unique(index, return_index=True)[1]] = False
    check_none(again, where, "{} is named twice", names)
    weights = np.ones(len(keys))
    weights[index] = values
    return weights
