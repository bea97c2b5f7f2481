"""Loaded pictures as pairs for the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleid_ray.batch.stages.mask import REGIONS, STRENGTH
from styleid_ray.batch.stages.recipe import Recipe
from styleid_ray.config import StyleParams
from styleid_ray.engine.structure import SeenStructure
from styleid_ray.engine.stylizer import Stylizer

Take = Callable[[Sequence[int], Tensor, Tensor], Any]
"""Receives pairs, their pictures (uint8 [N, H, W, 3]) and whether all values are finite [N]."""


@dataclass(frozen=True)
class Picture:
    """A picture at working size, ready for the device."""

    pixels: Tensor
    """uint8 [H, W, 3]."""
    key: str
    """Equal for equal pictures."""

    @classmethod
    def of(cls, pixels: np.ndarray) -> Picture:
        """From an array, uint8 [H, W, 3]."""
        pixels = np.array(pixels, order="C")  # a copy: PyTorch takes no read-only array
        digest = hashlib.blake2b(pixels.data, digest_size=16).hexdigest()
        return cls(torch.from_numpy(pixels), f"{digest}-{pixels.shape}")


@dataclass(frozen=True)
class Pairs:
    """Pairs to stylise together: each picture is inverted once."""

    contents: Sequence[Picture]
    styles: Sequence[Picture]
    index: Sequence[tuple[int, tuple[int, ...]]]
    """(content, its styles) of each pair."""
    params: Sequence[StyleParams]
    """One per pair."""
    masks: Sequence[Tensor] | None = None
    """Strength per content, uint8 [H, W]: 0 keeps the content, 255 is stylised."""
    label_maps: Sequence[Tensor] | None = None
    """Region numbers per content, uint8 [H, W]."""
    classes: Sequence[tuple[int, ...]] | None = None
    """Per pair, the region of each style after the first."""
    weights: Sequence[tuple[float, ...]] | None = None
    """Per pair, the weight of each style."""

    def stylize(self, pipe: Stylizer, take: Take, structure: SeenStructure | None = None) -> None:
        """Makes the pictures. `take` receives them as they are made; before that, `structure`
        receives how much of their contents' structure they keep."""
        pipe.stylize(
            [picture.pixels for picture in self.contents],
            [picture.pixels for picture in self.styles],
            self.index,
            self.params,
            take,
            keys=([x.key for x in self.contents], [x.key for x in self.styles]),
            masks=self.masks,
            label_maps=self.label_maps,
            classes=self.classes,
            weights=self.weights,
            structure=structure,
        )


def pairs_of(
    recipes: Sequence[Recipe],
    params: Sequence[StyleParams],
    pictures: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Pairs:
    """Pairs by their recipes, from loaded pictures.

    Args:
        recipes: one per pair, at least one.
        params: one per pair.
        pictures: rows of `PICTURES` with pixels, by role and key.
    """
    contents = _numbered(recipe.content for recipe in recipes)
    styles = _numbered(key for recipe in recipes for key in recipe.styles)
    masks = {
        role: [torch.from_numpy(_array(pictures[role, key]).copy()) for key in contents]
        for role in recipes[0].masks
    }
    regions = REGIONS in masks
    mixed = any(len(recipe.styles) > 1 for recipe in recipes) and not regions
    return Pairs(
        [Picture.of(_array(pictures["content", key], 3)) for key in contents],
        [Picture.of(_array(pictures["style", key], 3)) for key in styles],
        [(contents[x.content], tuple(styles[key] for key in x.styles)) for x in recipes],
        params,
        masks.get(STRENGTH),
        masks.get(REGIONS),
        [recipe.regions for recipe in recipes] if regions else None,
        [recipe.weights for recipe in recipes] if mixed else None,
    )


def _numbered(keys: Iterable[str]) -> dict[str, int]:
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}


def _array(row: Mapping[str, Any], *channels: int) -> np.ndarray:
    """A row's pixels, uint8 [H, W] or [H, W, channels]."""
    shape = row["height"], row["width"], *channels
    return np.frombuffer(row["pixels"], np.uint8).reshape(shape)
