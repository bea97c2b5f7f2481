"""Variants of a pair: the same content and style with other values of γ and temperature."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import pyarrow as pa

from styleid_ray.config import JobConfig
from styleid_ray.controls import Range, Sweep
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import codes
from styleid_ray.planning.hashing import GOLDEN, hashes, mix, uniform
from styleid_ray.planning.pairing import Pairs
from styleid_ray.planning.table import check_unique
from styleid_ray.storage.locations import shown

_ROWS = 2**20
_DIGITS = 6
"""Decimals of a drawn value."""


def count_variants(config: JobConfig) -> int:
    """Variants of each pair."""
    return config.variants or config.combinations


def with_variants(pairs: Pairs, config: JobConfig) -> Pairs:
    """Each pair as its variants k = 0, 1, ..., one after the other, with their drawn values.

    Lists of values are combined, and k numbers the combinations. A value drawn from a range is
    uniform, to six decimals, and depends on the keys of content and style, k, the seed and the
    option alone: neither on other pairs nor on the number of variants. A value that a table gives
    is kept; of variants that this makes equal, only the first remains.

    Raises:
        SourceError: a table has rows that differ in k alone though nothing is drawn for them, or
            numbers variants that the job numbers itself.
    """
    draws, count, table = config.draws, count_variants(config), pairs.table
    if config.pairing == "table":
        _check_rows(table, config)
    if not draws:
        return pairs
    own = {name: table[name].to_numpy() for name in draws}
    rows = np.arange(table.num_rows)
    k = table["k"].to_numpy()
    if count > 1:
        rows = np.repeat(rows, count)
        k = np.tile(np.arange(count, dtype=np.int32), table.num_rows)
        unset = {name: np.isnan(values)[rows] for name, values in own.items()}
        if not all(values.all() for values in unset.values()):
            differs = _differs(k, unset, draws)
            rows, k = rows[differs], k[differs]
        table = table.take(pa.array(rows))
    content, style = codes(table["content"]), codes(table["style"])
    columns, places = {"k": pa.array(k)}, _places(k, draws)
    for name, draw in draws.items():
        if isinstance(draw, Sweep):
            values = np.array(draw.values)[places[name]]
        else:
            keys = pairs.contents.keys, pairs.styles.keys
            values = _uniform(draw, name, config.seed, keys, (content, style, k))
        given = own[name][rows]
        columns[name] = pa.array(np.where(np.isnan(given), values, given))
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return replace(pairs, table=table)


def pair_numbers(content: np.ndarray, style: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Numbers [P], from 0 without gaps, equal for the variants of one pair, which follow one
    another."""
    same = (content[1:] == content[:-1]) & (style[1:] == style[:-1]) & (k[1:] > k[:-1])
    return np.cumsum(np.r_[False, ~same]) if len(content) else np.zeros(0, np.int64)


def _check_rows(table: pa.Table, config: JobConfig) -> None:
    assert config.table, "JobConfig sees to this"
    k = table["k"].to_numpy()
    if count_variants(config) > 1 and k.any():
        raise SourceError(
            f"--table {shown(config.table)} has a column k, which numbers variants, and so do "
            "--variants and lists of values: drop the column, or leave these out"
        )
    ranges = [name for name, draw in config.draws.items() if isinstance(draw, Range)]
    drawn = np.zeros(len(k), bool)
    for name in ranges:
        drawn |= np.isnan(table[name].to_numpy())
    i = table.schema.get_field_index("k")
    check_unique(
        table.set_column(i, "k", pa.array(np.where(drawn, k, 0).astype(np.int32))),
        config.table,
        "drop the copies, or number them in a column k" if drawn.any() else "",
    )


def _differs(
    k: np.ndarray, unset: dict[str, np.ndarray], draws: dict[str, Range | Sweep]
) -> np.ndarray:
    """Whether each variant [P] differs from those of smaller k, given a table's own values."""
    sweeps = [draw for draw in draws.values() if isinstance(draw, Sweep)]
    places, first = _places(k, draws), k < prod(len(draw.values) for draw in sweeps)
    drawn = np.zeros(len(k), bool)
    for name, draw in draws.items():
        if isinstance(draw, Range):
            drawn |= unset[name]
        else:
            first &= unset[name] | (places[name] == 0)
    return drawn | first


def _places(k: np.ndarray, draws: dict[str, Range | Sweep]) -> dict[str, np.ndarray]:
    """The place of each variant's value in each list: the last list changes fastest."""
    lengths = {name: len(draw.values) for name, draw in draws.items() if isinstance(draw, Sweep)}
    if not lengths:
        return {}
    shape = tuple(lengths.values())
    return dict(zip(lengths, np.unravel_index(k % prod(shape), shape), strict=True))


def _uniform(
    interval: Range,
    name: str,
    seed: int,
    keys: tuple[Sequence[str], Sequence[str]],
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Values [P] of variants, given as content and style (indices into the keys) and k."""
    content, style, k = pairs
    contents, styles = (hashes(own, seed) for own in keys)
    contents = mix(contents + hashes([name], seed))
    values = np.empty(len(k))
    for start in range(0, len(k), _ROWS):
        p = slice(start, start + _ROWS)
        state = mix(contents[content[p]] + styles[style[p]])
        values[p] = uniform(mix(state + k[p].astype(np.uint64) * np.uint64(GOLDEN)))
    values = interval.low + (interval.high - interval.low) * values
    return np.clip(np.round(values, _DIGITS), interval.low, interval.high)
