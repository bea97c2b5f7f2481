"""The quality of pairs, measured on the device as their pictures come out of the decoder."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from styleid_ray.batch.stages.pairs import Pairs
from styleid_ray.quality.columns import MEASURES, PIXEL_MEASURES
from styleid_ray.quality.pixels import measure, palette, small


class Measured:
    """Measures of the pairs of one call. Nothing here waits for the device."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self._structure: dict[int, Tensor] = {}
        self._palettes: dict[int, Tensor] = {}

    def structure(self, rows: Sequence[int], kept: Tensor) -> None:
        """Records how much structure some pairs keep, before their pictures."""
        self._structure.update(zip(rows, kept, strict=True))

    def of(self, rows: Sequence[int], pictures: Tensor) -> Tensor:
        """The quality [B, 7] of the pairs `rows`, in the order of `MEASURES`; NaN if unknown.
        `pictures` are theirs, uint8 [B, H, W, 3]."""
        contents = [self.pairs.contents[self.pairs.index[row][0]].pixels for row in rows]
        palettes = [self._mixed(row, pictures.device) for row in rows]
        pixels = torch.stack([x.to(pictures.device) for x in contents])
        values = dict(
            zip(PIXEL_MEASURES, measure(pictures, pixels, palettes).unbind(1), strict=True)
        )
        unknown = values["color"].new_full((), torch.nan)
        kept = [self._structure.pop(row, unknown) for row in rows]
        values["structure"] = torch.stack(kept).to(unknown)
        return torch.stack([values[name] for name in MEASURES], 1)

    def _mixed(self, row: int, device: torch.device) -> Tensor:
        """The palette of a pair's styles: per quantile, the mean weighted by their shares."""
        styles, shares = self.pairs.index[row][1], self._shares(row)
        palettes = [self._palette(j, device) * s for j, s in zip(styles, shares, strict=True)]
        return torch.stack(palettes).sum(0)

    def _shares(self, row: int) -> Sequence[float]:
        """The weight of each style of a pair, or the part of the picture where it applies."""
        pairs = self.pairs
        if pairs.weights:
            return pairs.weights[row]
        if pairs.classes and pairs.label_maps:
            regions = pairs.label_maps[pairs.index[row][0]]
            areas = [float((regions == number).float().mean()) for number in pairs.classes[row]]
            return 1 - sum(areas), *areas
        return (1.0,)

    def _palette(self, style: int, device: torch.device) -> Tensor:
        if style not in self._palettes:
            pixels = self.pairs.styles[style].pixels.to(device)
            self._palettes[style] = palette(small(pixels[None]))[0]
        return self._palettes[style]


def as_row(values: Sequence[float]) -> dict[str, float | None]:
    """One pair's values, given in the order of `MEASURES`, as a value of the column `quality`."""
    named = zip(MEASURES, values, strict=True)
    return {name: value if math.isfinite(value) else None for name, value in named}
