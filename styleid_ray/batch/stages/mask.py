"""Masks of a content: strengths, and label maps for styles per region."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.picture import Kind
from styleid_ray.config import JobConfig
from styleid_ray.datasets.masks import mask_source
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging.masks import to_regions, to_strength
from styleid_ray.planning.further_styles import parse_region_styles

STRENGTH, REGIONS = "mask", "label_map"
"""Roles of masks in `PICTURES`."""
OPTIONS = {STRENGTH: "--masks", REGIONS: "--label-masks"}


@dataclass(frozen=True)
class Masks:
    """The masks of one role, and how they are read."""

    source: Source
    kind: Kind


def masks_of(config: JobConfig) -> dict[str, Masks]:
    """The masks that a job reads, by their roles."""
    masks: dict[str, Masks] = {}
    options = config.storage_options
    if config.masks:
        kind = Kind(to_strength, Image.Resampling.BILINEAR)
        masks[STRENGTH] = Masks(mask_source(config.masks, options), kind)
    if config.region_styles and config.label_masks:
        kind = Kind(partial(to_regions, regions=regions_of(config)), Image.Resampling.NEAREST)
        masks[REGIONS] = Masks(mask_source(config.label_masks, options), kind)
    return masks


def region_columns(config: JobConfig) -> tuple[str, ...]:
    """The columns that name the styles of regions 1, 2, ..."""
    named = parse_region_styles(config.region_styles) if config.region_styles else {}
    return tuple(dict.fromkeys(named[number] for number in sorted(named)))


def regions_of(config: JobConfig) -> dict[int, int]:
    """The number of each class's region, from 1; all other classes are region 0."""
    named = parse_region_styles(config.region_styles or "")
    columns = region_columns(config)
    return {number: 1 + columns.index(column) for number, column in named.items()}


def with_remedy(error: RowError, role: str) -> RowError:
    """The error, with a remedy if the mask is missing."""
    if not isinstance(error.__cause__, FileNotFoundError):
        return error
    helped = RowError(error.stage, f"{error}: add it to {OPTIONS[role]}, then styleid-ray retry")
    helped.__cause__ = error.__cause__
    return helped


def check_size(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Raises RowError for a mask whose size, in pixels, is not its content's."""
    if size != wanted:
        raise RowError(
            "decode",
            f"it is {size[0]} x {size[1]} pixels, but its content is {wanted[0]} x {wanted[1]} "
            "(upright): a mask must have its content's size",
        )


def check_sizes(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of `PICTURES`, in which masks of another size than their content have failed. `names`
    are the pictures' names for the errors."""
    sizes = {row["key"]: _size(row) for row in rows if row["role"] == "content"}
    checked: list[dict[str, Any]] = []
    for row, name in zip(rows, names, strict=True):
        wanted = sizes.get(row["key"]) if row["role"] in OPTIONS else None
        size = _size(row)
        try:
            if wanted and size:
                check_size(size, wanted)
        except RowError as error:
            kept = {n: value for n, value in row.items() if n in ("role", "key", "bytes")}
            row = kept | row_error.columns(error, name)
        checked.append(dict(row))
    return checked


def _size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    return (row["source_width"], row["source_height"]) if "source_width" in row else None
