"""Several styles in one picture: a table's columns style2, style3 ... and weight, checked."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning.columns import STYLE_COLUMNS, style_columns
from styleid_ray.planning.pairing import Pairs
from styleid_ray.planning.table_files import check_none
from styleid_ray.storage.locations import shown

_EVEN = 0.5
"""Share of style2 where a row has no weight."""


def with_styles(pairs: Pairs, config: JobConfig) -> Pairs:
    """Pairs whose further styles are checked: styles of regions, or style2 with its weight, its
    share in an interpolation with style. Columns that name no style are left out.

    Raises:
        ConfigError: `region_styles` is malformed, or there are no label masks.
        SourceError: a row has styles or a weight that make no picture.
    """
    regions = parse_region_styles(config.region_styles) if config.region_styles else {}
    if regions and not config.label_masks:
        raise ConfigError("--region-styles needs --label-masks, whose classes it names")
    table = pairs.table
    if config.pairing != "table":
        return pairs
    where = f"--table {shown(config.table or '')}"
    _, *further = style_columns(table)
    missing = [name for name in regions.values() if name not in further]
    if missing:
        raise SourceError(f"{where} has no column {missing[0]}, which --region-styles names")
    if not further:
        return pairs
    _check_order(table, where)
    for name in further:
        same = pc.equal(*(table[column].cast(pa.string()) for column in (name, "style")))
        check_none(same, where, f"{name} is the picture of style again: name another")
    if regions:
        _check_regions(table, regions, where)
    else:
        table = _with_weight(table, where)
    unused = [name for name in further if table[name].null_count == table.num_rows]
    return replace(pairs, table=table.drop_columns(unused))


def parse_region_styles(text: str) -> dict[int, str]:
    """Columns by class, from a text such as 1=style2,7=style3. Classes may share a column.

    Raises:
        ConfigError: the text is malformed, or names a class twice.
    """
    columns: dict[int, str] = {}
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,3})=(\w+)", part)
        if not match or int(match[1]) > 255:
            raise ConfigError(
                f"--region-styles {text!r}: must be classes, 0 to 255, and their columns, such as "
                "1=style2,7=style3"
            )
        number, column = int(match[1]), match[2]
        if column not in STYLE_COLUMNS:
            raise ConfigError(
                f"--region-styles {text!r}: {column} is none of {STYLE_COLUMNS[0]} to "
                f"{STYLE_COLUMNS[-1]}, the columns of further styles"
            )
        if number in columns:
            raise ConfigError(f"--region-styles {text!r}: class {number} is named twice")
        columns[number] = column
    return columns


def _given(table: pa.Table, name: str) -> np.ndarray:
    """Whether each row names a style in a column, bool [P]."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, bool)
    return pc.is_valid(table[name]).to_numpy()


def _check_order(table: pa.Table, where: str) -> None:
    for before, name in pairwise(STYLE_COLUMNS):
        bad = _given(table, name) & ~_given(table, before)
        message = f"{name} is given without {before}: fill {before} first"
        check_none(bad, where, message)


def _check_regions(table: pa.Table, regions: Mapping[int, str], where: str) -> None:
    if "weight" in table.column_names:
        raise SourceError(
            f"{where}: weight has no effect with --region-styles: rename or drop the column"
        )
    for number, name in regions.items():
        message = f"class {number} is without a style: {name} is empty"
        check_none(table[name].is_null(), where, message)
    idle = [n for n in STYLE_COLUMNS if n not in regions.values() and _given(table, n).any()]
    if idle:
        raise SourceError(
            f"{where}: no class of --region-styles has the column {idle[0]}: add one, or drop the "
            "column"
        )


def _with_weight(table: pa.Table, where: str) -> pa.Table:
    """The table with the share of style2 in each row that has one."""
    check_none(
        np.logical_or.reduce([_given(table, name) for name in STYLE_COLUMNS[1:]]),
        where,
        "style3 needs --region-styles; without it, style and style2 alone are interpolated",
    )
    present = "weight" in table.column_names
    absent = pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])
    weight = table["weight"] if present else absent
    given, second = pc.is_valid(weight).to_numpy(), _given(table, STYLE_COLUMNS[0])
    check_none(
        given & ~second,
        where,
        "weight is given without style2: fill style2 first, or leave weight empty",
    )
    shares = weight.to_numpy()
    check_none(
        given & ~((shares > 0) & (shares < 1)),
        where,
        "weight {} is the share of style2 and must be between 0 and 1; for one style alone, leave "
        "style2 empty",
        weight,
    )
    if present:
        table = table.drop_columns("weight")
    if not second.any():
        return table
    shares = np.where(given, shares, _EVEN)
    return table.append_column("weight", pa.array(shares, mask=~second))
