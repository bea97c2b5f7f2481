"""Measures of a stylised picture against its content and style, from pixels alone: cheap, on any
device.

A batch of results is compared with contents of the same size and styles of any size. All values
are float32, NaN where a measure has no meaning.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from styleid_ray.quality.columns import PIXEL_MEASURES

SIDE = 256
"""Longest side of the measured copies, in pixels."""
CELL = 8
"""Side of a cell of `blank`, in pixels of such a copy."""
FLAT = 2.5 / 255
"""Standard deviation below which a cell has no detail."""
_COLOUR_SIDE = 64
_QUANTILES = 64
_WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2
"""Constants of SSIM for values in [0, 1]."""
_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""Binomial."""
_SLOPE, _SMOOTH = (-1 / 2, 0, 1 / 2), (1 / 4, 2 / 4, 1 / 4)
"""Sobel's filter, along the gradient and across it."""
_CURVATURE = (1, -2, 1)
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
_LEAST = 1e-4
"""Variations of luminance, and distances of colours, treated as zero: below a tenth of a level."""


def measure(results: Tensor, contents: Tensor, styles: Sequence[Tensor]) -> Tensor:
    """The measures [B, 6] of results, in the order of `PIXEL_MEASURES`.

    Args:
        results: uint8 [B, H, W, 3].
        contents: of the results, uint8 [B, H, W, 3].
        styles: the `palette` [D, Q] of each result's style.
    """
    x, c = small(results), small(contents)
    grey_x, grey_c = luminance(x), luminance(c)
    measures = {
        "color": color(palette(x), palette(c), torch.stack(list(styles))),
        "edges": edges(grey_x, grey_c),
        "saturation": saturation(x),
        "blank": blank(x),
        "sharpness": sharpness(grey_x, grey_c),
        "copy": copy(x, c),
    }
    return torch.stack([measures[name] for name in PIXEL_MEASURES], 1)


def small(pictures: Tensor) -> Tensor:
    """Pictures [B, 3, h, w] in [0, 1] of uint8 [B, H, W, 3], with a longest side of at most
    `SIDE`."""
    return _shrunk(pictures.permute(0, 3, 1, 2).float() / 255, SIDE)


def luminance(x: Tensor) -> Tensor:
    """Luminance [B, 1, h, w] of pictures [B, 3, h, w]."""
    r, g, b = x.split(1, 1)
    return LUMINANCE[0] * r + LUMINANCE[1] * g + LUMINANCE[2] * b


def palette(x: Tensor) -> Tensor:
    """The colours of pictures [B, 3, h, w] in [0, 1]: quantiles [B, 6, Q] of red, green, blue,
    luminance, and the two differences red − green and blue − (red + green) / 2."""
    x = _shrunk(x, _COLOUR_SIDE)
    r, g, b = x.unbind(1)
    axes = torch.stack([r, g, b, luminance(x)[:, 0], r - g, b - (r + g) / 2], 1)
    ordered = axes.flatten(2).sort(-1).values
    place = (torch.arange(_QUANTILES, device=x.device) + 0.5) / _QUANTILES
    at = (place * ordered.shape[-1]).long()
    return ordered[..., at]


def color(x: Tensor, c: Tensor, s: Tensor) -> Tensor:
    """Share [B] of the colour distance between content and style that the result has lost, by
    `palette`s [B, 6, Q] of results, contents and styles: 1 − d(x, s) / d(c, s), in [−1, 1].

    d is the mean 1-Wasserstein distance of the colours along the six axes (a sliced Wasserstein
    distance, Rabin et al. 2011, with fixed directions). 1: the style's colours; 0: as far from them
    as the content; below 0: farther. NaN where the content already has the style's colours.
    """
    d_x, d_c = ((p - s).abs().mean((1, 2)) for p in (x, c))
    return torch.where(d_c > _LEAST, 1 - d_x / d_c, torch.nan).clamp(-1, 1)


def saturation(x: Tensor) -> Tensor:
    """Mean [B] over the pixels of max(R, G, B) − min(R, G, B), the chroma of HSV, in [0, 1]: 0 is
    grey. HSV's own saturation divides by the value, so nearly black pixels would look saturated."""
    return (x.amax(1) - x.amin(1)).mean((1, 2))


def blank(x: Tensor) -> Tensor:
    """Share [B] of cells of 8 × 8 pixels in which no channel varies: standard deviation below 2.5
    of 255 levels. A picture smaller than a cell is one cell; cells at the border may be partial."""
    cell = [min(CELL, side) for side in x.shape[-2:]]
    x = x - 0.5  # for the precision of float32
    mean, squares = (avg_pool2d(v, cell, ceil_mode=True) for v in (x, x.square()))
    variance = squares - mean.square()
    return (variance.amax(1) < FLAT**2).float().mean((1, 2))


def edges(x: Tensor, c: Tensor) -> Tensor:
    """Edges kept [B] of contents' luminance c in results' luminance x, [B, 1, h, w]: correlation of
    their edge strengths, 0 where it is negative, in [0, 1].

    The strength is the length of Sobel's gradient after a blur of 5 × 5 pixels, so finer brushwork
    and edges that moved by a pixel or two count little. NaN where the content has no edges; 0 where
    the result has none.
    """
    return kept(edge_strength(x), edge_strength(c), _LEAST)


def kept(x: Tensor, c: Tensor, least: float) -> Tensor:
    """Correlation [B] of results' values x with contents' values c, [B, N], 0 where it is negative.

    Values whose standard deviation is at most `least` are constant: NaN if the content's are, 0 if
    only the result's are.
    """
    x, c = (_standardised(v, least) for v in (x, c))
    correlation = (x * c).sum(1).clamp(0, 1)
    return torch.where(c.abs().sum(1) > 0, correlation, torch.nan)


def edge_strength(x: Tensor) -> Tensor:
    """Length [B, h · w] of the gradient of blurred pictures [B, 1, h, w]."""
    x = _along(_along(x, _BLUR, 2), _BLUR, 3)
    down, right = (_along(_along(x, _SLOPE, axis), _SMOOTH, 5 - axis) for axis in (2, 3))
    return (down.square() + right.square()).sqrt().flatten(1)


def sharpness(x: Tensor, c: Tensor) -> Tensor:
    """Sharpness [B] of results' luminance x relative to their contents' c, [B, 1, h, w]: the ratio
    of the standard deviations of their Laplacians (Pech-Pacheco et al. 2000), at most 10.

    1 is equal, below 1 is softer; brushwork and noise count as sharp. NaN where the content has no
    detail.
    """
    s_x, s_c = (laplacian(v).flatten(1).std(1, correction=0) for v in (x, c))
    return torch.where(s_c > _LEAST, s_x / s_c, torch.nan).clamp(max=10)


def laplacian(x: Tensor) -> Tensor:
    """Laplacian [B, 1, h, w] of pictures over the four neighbours."""
    return _along(x, _CURVATURE, 2) + _along(x, _CURVATURE, 3)


def copy(x: Tensor, c: Tensor) -> Tensor:
    """Similarity [B] of results to their contents, [B, 3, h, w]: mean SSIM (Wang et al. 2004) of
    the three channels in windows of 7 × 7 pixels, 0 where it is negative, in [0, 1]; 1 is an
    identical picture."""
    window = [min(_WINDOW, side) for side in x.shape[-2:]]
    mu_x, mu_c = (avg_pool2d(v, window, 1) for v in (x, c))
    xx, cc, xc = (avg_pool2d(v, window, 1) for v in (x.square(), c.square(), x * c))
    var_x, var_c, cov = xx - mu_x.square(), cc - mu_c.square(), xc - mu_x * mu_c
    luminances = (2 * mu_x * mu_c + _C1) / (mu_x.square() + mu_c.square() + _C1)
    structures = (2 * cov + _C2) / (var_x + var_c + _C2)
    return (luminances * structures).mean((1, 2, 3)).clamp(0, 1)


def _shrunk(x: Tensor, side: int) -> Tensor:
    """Pictures [B, 3, h, w], averaged over areas to a longest side of at most `side`."""
    scale = side / max(x.shape[-2:])
    if scale >= 1:
        return x
    return interpolate(x, [max(1, round(n * scale)) for n in x.shape[-2:]], mode="area")


def _along(x: Tensor, filter: Sequence[float], axis: int) -> Tensor:
    """Pictures [B, C, h, w] filtered along their height (2) or width (3), borders repeated."""
    # By shifts: copying a filter to the device as a tensor would wait for the device.
    by, length = len(filter) // 2, x.shape[axis]
    padded = pad(x, (0, 0, by, by) if axis == 2 else (by, by, 0, 0), mode="replicate")
    shifted = [w * padded.narrow(axis, at, length) for at, w in enumerate(filter) if w]
    return torch.stack(shifted).sum(0)


def _standardised(x: Tensor, least: float) -> Tensor:
    """Rows [B, N] of mean 0 and length 1; zeros where nothing varies."""
    x = x - x.mean(1, keepdim=True)
    length = x.norm(dim=1, keepdim=True)
    return torch.where(length > least * x.shape[1] ** 0.5, x / length, 0)
