"""Strength masks by a column of a pairing table."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.config import JobConfig
from styleid_ray.datasets.masks import mask_name
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import codes, count_distinct
from styleid_ray.planning.pairing import Pairs
from styleid_ray.storage.locations import shown

MASK_COLUMN = "content_mask"
"""Column of a plan: the name of the content's mask below --masks, null where it follows from the
content's name."""


def with_mask_names(pairs: Pairs, config: JobConfig) -> Pairs:
    """Pairs whose table names the masks of contents in a column `mask`, if there are masks.

    Raises:
        SourceError: the column holds no text, or has two masks for one content.
    """
    table = pairs.table
    if config.pairing != "table" or not config.masks or "mask" not in table.column_names:
        return pairs
    where = f"--table {shown(config.table or '')}: column mask"
    try:
        names = table["mask"].cast(pa.string())
    except pa.ArrowException as error:
        raise SourceError(f"{where} must hold names below --masks, as text") from error
    names = pc.if_else(pc.equal(pc.utf8_trim_whitespace(names), ""), None, names)
    contents = codes(table["content"])
    given = codes(names.fill_null(""))
    if count_distinct(contents, given) > count_distinct(contents):
        raise SourceError(f"{where} has two masks for one content: give each content one")
    at = table.schema.get_field_index("mask")
    return replace(pairs, table=table.set_column(at, MASK_COLUMN, names))


def named_masks(table: pa.Table) -> dict[str, str | None]:
    """Names of masks by content key, in a plan or a part of one; empty if it names none."""
    if MASK_COLUMN not in table.column_names:
        return {}
    return dict(zip(*(table[name].to_pylist() for name in ("content", MASK_COLUMN)), strict=True))


def masked_keys(pairs: Pairs) -> list[str]:
    """A text per content that changes with its key and with the name of its mask."""
    keys = list(pairs.contents.keys)
    for content, name in _named(pairs).items():
        keys[content] = f"{keys[content]}\0{name}"
    return keys


def mask_names(pairs: Pairs) -> list[str]:
    """The name below --masks of each content's mask."""
    named = _named(pairs)
    return [named.get(at) or mask_name(key) for at, key in enumerate(pairs.contents.keys)]


def _named(pairs: Pairs) -> dict[int, str]:
    """Names of masks by the number of their content."""
    if MASK_COLUMN not in pairs.table.column_names:
        return {}
    contents, first = np.unique(codes(pairs.table["content"]), return_index=True)
    names = pairs.table[MASK_COLUMN].take(pa.array(first)).to_pylist()
    return {int(c): name for c, name in zip(contents, names, strict=True) if name is not None}
