"""Features of a batch as rows of bytes, one row per picture, so that one copy moves a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from styleid_ray.engine.styleid import Features

Role = Literal["content", "style"]
KEPT: dict[Role, tuple[str, ...]] = {"content": ("q",), "style": ("k", "v")}
"""Features kept of a picture in each role."""
_SCALE = torch.float16
_SMALLEST = 6e-8
"""Scale of a token whose features are all 0: above zero in float16."""


@dataclass(frozen=True)
class Layout:
    """How the features of one picture and one step lie in a row of bytes: one piece per tensor, in
    `dtype`, one of float16/32, bfloat16 and int8. In int8 the row begins with a scale per token and
    head."""

    shapes: Mapping[tuple[str, int], tuple[int, ...]]
    """(name, layer) → (heads, tokens, d), of several windows (windows, heads, tokens, d)."""
    dtype: torch.dtype

    @classmethod
    def of(cls, features: Features, role: Role, dtype: torch.dtype) -> Layout:
        """The layout of the features kept in a role."""
        kept = {key: x for key, x in features.items() if key[0] in KEPT[role]}
        return cls({key: tuple(x.shape[1:]) for key, x in kept.items()}, dtype)

    @property
    def scales(self) -> int:
        """Bytes of the scales in a row."""
        if self.dtype != torch.int8:
            return 0
        return _SCALE.itemsize * sum(prod(shape[:-1]) for shape in self.shapes.values())

    @property
    def nbytes(self) -> int:
        """Bytes of a row."""
        return self.scales + self.dtype.itemsize * sum(map(prod, self.shapes.values()))

    def pack(self, features: Features, rows: slice) -> Tensor:
        """Rows, uint8 [B, nbytes], of some rows of a batch's features."""
        parts = [features[key][rows] for key in self.shapes]
        if self.dtype != torch.int8:
            return torch.cat([x.flatten(1) for x in parts], 1).to(self.dtype).view(torch.uint8)
        values, scales = zip(*map(_to_int8, parts), strict=True)
        packed = [torch.cat([x.flatten(1) for x in xs], 1) for xs in (scales, values)]
        return torch.cat([x.view(torch.uint8) for x in packed], 1)

    def unpack(self, rows: Tensor, dtype: torch.dtype) -> Features:
        """Features in `dtype` of rows, uint8 [B, nbytes]; views if that is their own type."""
        batch = len(rows)
        values = rows[:, self.scales :].view(self.dtype)
        parts = values.split([prod(shape) for shape in self.shapes.values()], 1)
        if self.scales:
            scales = rows[:, : self.scales].contiguous().view(_SCALE).float()
            each = scales.split([prod(shape[:-1]) for shape in self.shapes.values()], 1)
            parts = [
                x.view(batch, -1, shape[-1]) * scale[..., None]
                for x, scale, shape in zip(parts, each, self.shapes.values(), strict=True)
            ]
        return {
            key: x.to(dtype).view(batch, *shape)
            for x, (key, shape) in zip(parts, self.shapes.items(), strict=True)
        }


def _to_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Values in [-127, 127] and the scale of each last axis."""
    x = x.float()
    scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(_SMALLEST, torch.finfo(_SCALE).max)
    scale = scale.to(_SCALE)
    return (x / scale.float()).round().clamp(-127, 127).to(torch.int8), scale
