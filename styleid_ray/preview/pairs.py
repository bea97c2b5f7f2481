"""The rows of a preview: the pairs of a job that it shows."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from styleid_ray.batch.prepare import check_method
from styleid_ray.batch.stages.mask import regions_of
from styleid_ray.batch.stages.recipe import Recipe, Recipes
from styleid_ray.config import JobConfig, StyleParams
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import style_columns
from styleid_ray.planning.further_styles import with_styles
from styleid_ray.planning.mask_names import named_masks, with_mask_names
from styleid_ray.planning.pairing import make_pairs, read_sources
from styleid_ray.planning.style_share import with_share
from styleid_ray.preview.pictures import Name, Reader, Shown

_OWN = ("gamma", "temperature")


@dataclass(frozen=True)
class Pair:
    """One row of the grid."""

    recipe: Recipe
    own: Mapping[str, float] = field(default_factory=dict)
    """Gamma and temperature of the pair, where a table gives them."""

    @property
    def pictures(self) -> list[Name]:
        """Role and key of content and styles."""
        return [("content", self.recipe.content), *(("style", key) for key in self.recipe.styles)]

    @property
    def own_line(self) -> str:
        """Per-pair γ and temperature as text; empty if the table gives none."""
        values = ", ".join(f"{name} {value:g}" for name, value in self.own.items())
        return values and f"{values} (table)"

    def params(self, column: StyleParams) -> StyleParams:
        """A column's parameters for this pair."""
        return column.model_copy(update=dict(self.own)) if self.own else column

    def parts(self, config: JobConfig) -> list[str]:
        """The part of each style: a share, classes of the label map, or all ('')."""
        if len(self.recipe.styles) == 1:
            return [""]
        if not config.region_styles:
            return [f"{100 * weight:g} %" for weight in self.recipe.weights]
        classes: dict[int, list[str]] = {}
        for number, region in regions_of(config).items():
            classes.setdefault(region, []).append(str(number))
        own = [classes[region] for region in self.recipe.regions]
        return ["others", *(f"class{'es' * (len(x) > 1)} {', '.join(x)}" for x in own)]


@dataclass(frozen=True)
class Chosen:
    """The pairs that a preview shows."""

    pairs: Sequence[Pair]
    pictures: Mapping[Name, Shown]
    """By role and key."""
    unread: Sequence[str]
    """A line on each picture that cannot be read."""
    notes: Sequence[str] = ()
    """Remarks of the pairing."""

    @property
    def rows(self) -> dict[Name, dict[str, Any]]:
        """Pictures and masks by role and key, in the form that `pairs_of` takes."""
        fitted = {name: picture.fitted for name, picture in self.pictures.items()}
        for (_, key), picture in self.pictures.items():
            fitted |= {(role, key): mask for role, mask in picture.masks.items()}
        return {
            name: {"pixels": image.tobytes(), "width": image.width, "height": image.height}
            for name, image in fitted.items()
        }


def choose(config: JobConfig, count: int, factor: int) -> Chosen:
    """At most `count` pairs of a job: with pairing cross, pairs of pictures spread over both
    listings; with any other, pairs spread over the plan. `factor` is the multiple of the working
    size's sides, in pixels.

    Raises:
        SourceError: a source or table is missing, empty or inconsistent, or none of the chosen
            pictures can be read.
        ConfigError: the working size does not suit the model, or an option the pairing.
    """
    return (_crossed if config.pairing == "cross" else _planned)(config, count, factor)


def spread(rows: int, count: int, seed: int = 0) -> list[int]:
    """Indices of at most `count` of the rows: first, last and evenly between; with a seed other
    than 0, one drawn from each of `count` equal parts."""
    count = min(count, rows)
    if seed:
        draw = random.Random(seed).randrange
        return [draw(i * rows // count, (i + 1) * rows // count) for i in range(count)]
    return [round(i * (rows - 1) / max(1, count - 1)) for i in range(count)]


def cyclic_pairs(contents: int, styles: int, count: int) -> list[tuple[int, int]]:
    """At most `count` different pairs (content, style): both sides cycle in order, and the styles
    shift by one whenever the pairs would repeat."""
    cycle = math.lcm(contents, styles)
    return [(i % contents, (i + i // cycle) % styles) for i in range(min(count, contents * styles))]


def _crossed(config: JobConfig, count: int, factor: int) -> Chosen:
    contents, styles = read_sources(config, config.storage_options)
    styles = with_share(styles, config.style_share)
    reader = Reader(contents, styles, config, factor)
    readable: list[list[str]] = []
    for role, source in (("content", contents), ("style", styles)):
        keys = [source.keys[at] for at in spread(len(source.keys), count, config.seed)]
        readable.append([key for key in keys if reader.readable((role, key))])
        if not readable[-1]:
            reason = reader.unread[role, keys[0]].removeprefix(f"{role} ")
            raise SourceError(
                f"--{role}: none of the pictures chosen for the preview can be read ({reason})"
            )
    masks, (own, theirs) = Recipes.of(config).masks, readable
    pairs = [
        Pair(Recipe(own[c], (theirs[s],), masks=masks))
        for c, s in cyclic_pairs(len(own), len(theirs), count)
    ]
    return Chosen(pairs, reader.pictures, [*reader.unread.values()])


def _planned(config: JobConfig, count: int, factor: int) -> Chosen:
    planned = with_styles(make_pairs(config, config.storage_options), config)
    check_method(config, planned)
    planned = with_mask_names(planned, config)
    rows = planned.table.take(pa.array(spread(planned.table.num_rows, count, config.seed)))
    for name in style_columns(rows)[1:]:  # recipes recognise further styles by their versions
        rows = rows.append_column(f"{name}_version", pa.nulls(rows.num_rows, pa.string()))
    own = rows.select(_OWN).to_pylist()
    chosen = [
        Pair(recipe, {name: value for name, value in values.items() if value is not None})
        for recipe, values in zip(Recipes.of(config).of_pairs(rows), own, strict=True)
    ]
    reader = Reader(planned.contents, planned.styles, config, factor, named_masks(rows))
    pairs = [pair for pair in chosen if all([*map(reader.readable, pair.pictures)])]
    unread = [*reader.unread.values()]
    if not pairs:
        raise SourceError(
            f"--pairing {config.pairing}: none of the pairs chosen for the preview can be read "
            f"({unread[0]})"
        )
    return Chosen(pairs, reader.pictures, unread, planned.notes)
