"""The recipe of a pair: its pictures among a shard's loaded ones, and the mix of its styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from styleid_ray.batch.stages.mask import masks_of, region_columns
from styleid_ray.config import JobConfig


@dataclass(frozen=True)
class Recipe:
    """The pictures of one pair."""

    content: str
    """Key of the content and of its masks."""
    styles: tuple[str, ...]
    """Keys, at least one."""
    weights: tuple[float, ...] = (1.0,)
    """One per style, above 0, with sum 1. Ignored with regions."""
    regions: tuple[int, ...] = ()
    """Region of each style after the first, which takes all others."""
    masks: tuple[str, ...] = ()
    """Roles of its content's masks."""

    @property
    def pictures(self) -> list[tuple[str, str]]:
        """(role, key) of all its pictures."""
        styles = [("style", key) for key in self.styles]
        return [("content", self.content), *styles, *((role, self.content) for role in self.masks)]


@dataclass(frozen=True)
class Recipes:
    """The recipes of a job's pairs."""

    masks: tuple[str, ...] = ()
    """Roles of each content's masks."""
    columns: tuple[str, ...] = ()
    """The plan's columns that name the styles of regions 1, 2, ...; empty without regions."""

    @classmethod
    def of(cls, config: JobConfig) -> Recipes:
        """The recipes of a job."""
        return cls(tuple(masks_of(config)), region_columns(config))

    def style_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The style columns of a plan whose columns are `names`."""
        if self.columns:
            return ("style", *self.columns)
        return ("style", "style2") if "style2" in names else ("style",)

    def of_pairs(self, pairs: pa.Table) -> list[Recipe]:
        """One per pair of the plan."""
        styles = self.style_columns(pairs.column_names)
        names = {"content", *styles} | ({"weight"} if "style2" in styles else set())
        chosen = [name for name in pairs.column_names if name in names]
        return [self._of(row, styles) for row in pairs.select(chosen).to_pylist()]

    def _of(self, pair: Mapping[str, Any], columns: Sequence[str]) -> Recipe:
        content, style = pair["content"], pair["style"]
        if self.columns:
            keys = (style, *(pair[column] for column in self.columns))
            regions = tuple(range(1, len(keys)))
            return Recipe(content, keys, (), regions, self.masks)
        second = pair["style2"] if "style2" in columns else None
        if second is None:
            return Recipe(content, (style,), masks=self.masks)
        share = pair["weight"]
        return Recipe(content, (style, second), (1 - share, share), masks=self.masks)
