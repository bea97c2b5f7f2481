"""Scalar and vector fields on the unit square: noise, blur, sampling, flow.

Fields are float32 [H, W]; lengths are fractions of the picture's side unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[Any]
Picture = npt.NDArray[Any]
Rng = np.random.Generator


def grid(size: int) -> tuple[Field, Field]:
    """Coordinates y, x of pixel centres, each [size, size] in (0, 1); y points down."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def fractal_noise(
    rng: Rng,
    size: int,
    slope: float = 1.0,
    stretch: tuple[float, float] = (1.0, 1.0),
    finest: float = 0.0,
) -> Field:
    """Gaussian noise with amplitude spectrum 1/f^slope, zero mean, unit variance.

    Natural images have a slope near 1. `stretch` (y, x) elongates the grain; frequencies whose
    wavelength is below `finest` fade out.
    """
    fy = np.fft.fftfreq(size)[:, None] * size * stretch[0]
    fx = np.fft.rfftfreq(size)[None, :] * size * stretch[1]
    f = np.hypot(fy, fx)
    f[0, 0] = 1.0
    amplitude = f**-slope
    amplitude[0, 0] = 0.0
    if finest > 0.0:
        amplitude = amplitude * np.exp(-((f * finest / 2.0) ** 2))
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * amplitude
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return (noise / max(float(noise.std()), 1e-8)).astype(np.float32)


def blur(field: npt.NDArray[Any], sigma: float) -> npt.NDArray[Any]:
    """Gaussian blur of a field [H, W] or picture [H, W, C] with standard deviation `sigma`."""
    size = field.shape[0]
    reach = sigma * size
    if reach < 0.3:
        return field
    pad = min(int(3 * reach) + 1, size - 1)
    width = [(pad, pad), (pad, pad)] + [(0, 0)] * (field.ndim - 2)
    padded = np.pad(field, width, mode="reflect")
    n = padded.shape[0]
    fy = np.fft.fftfreq(n)[:, None]
    fx = np.fft.rfftfreq(n)[None, :]
    kernel = np.exp(-2.0 * (np.pi * reach) ** 2 * (fy**2 + fx**2))
    kernel = kernel if field.ndim == 2 else kernel[:, :, None]
    out = np.fft.irfft2(np.fft.rfft2(padded, axes=(0, 1)) * kernel, s=(n, n), axes=(0, 1))
    return out[pad : pad + size, pad : pad + size].astype(np.float32)


def sample(field: npt.NDArray[Any], y: Field, x: Field) -> npt.NDArray[Any]:
    """Values of a field or picture at positions y, x (fractions of the side), bilinear, clamped."""
    size = field.shape[0]
    py = np.clip(y * size - 0.5, 0.0, size - 1.001)
    px = np.clip(x * size - 0.5, 0.0, size - 1.001)
    y0, x0 = py.astype(np.int32), px.astype(np.int32)
    wy, wx = (py - y0).astype(np.float32), (px - x0).astype(np.float32)
    if field.ndim == 3:
        wy, wx = wy[..., None], wx[..., None]
    top = field[y0, x0] * (1 - wx) + field[y0, x0 + 1] * wx
    bottom = field[y0 + 1, x0] * (1 - wx) + field[y0 + 1, x0 + 1] * wx
    return top * (1 - wy) + bottom * wy


def coverage(distance: Field) -> Field:
    """Anti-aliased mask of a shape from its signed distance in fractions (negative inside)."""
    return np.clip(0.5 - distance * distance.shape[0], 0.0, 1.0).astype(np.float32)


def mix(a: npt.NDArray[Any], b: npt.ArrayLike, mask: Field | float) -> Picture:
    """a where `mask` is 0, b where it is 1; a mask [H, W] is spread over the channels."""
    weight = np.asarray(mask, dtype=np.float32)
    if weight.ndim == 2 and a.ndim == 3:
        weight = weight[..., None]
    return (a + (np.asarray(b, dtype=np.float32) - a) * weight).astype(np.float32)


def smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def luminance(picture: Picture) -> Field:
    """Rec. 601 luma [H, W] in [0, 1]."""
    return (picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)).astype(np.float32)


def flow_along_edges(tone: Field, rng: Rng, scale: float = 0.03, swirl: float = 0.25) -> Field:
    """Angle [H, W] of brush strokes: along edges where there are some, else along a noise flow.

    The edge direction is the minor eigenvector of the structure tensor blurred by `scale`
    (Kass and Witkin 1987); `swirl` is the weight of the noise flow.
    """
    gy, gx = np.gradient(blur(tone, 0.006))
    jxx, jyy, jxy = (blur(g.astype(np.float32), scale) for g in (gx * gx, gy * gy, gx * gy))
    weight = float(np.mean(jxx + jyy)) * swirl + 1e-9
    angle = fractal_noise(rng, tone.shape[0], 2.2) * 1.2 + rng.uniform(0, np.pi)
    c = jxx - jyy - weight * np.cos(2 * angle)
    s = 2 * jxy - weight * np.sin(2 * angle)
    return (0.5 * np.arctan2(s, c) + np.pi / 2).astype(np.float32)


def line_integral(texture: Field, angle: Field, length: float) -> Field:
    """Texture averaged along the flow over +-`length` (line integral convolution, Cabral 1993)."""
    size = texture.shape[0]
    steps = max(2, int(length * size))
    dy, dx = np.sin(angle), np.cos(angle)
    rows, columns = np.indices(texture.shape, dtype=np.float32)
    total = texture.copy()
    for direction in (1.0, -1.0):
        y, x = rows.copy(), columns.copy()
        last_y, last_x = dy * direction, dx * direction
        for _ in range(steps):
            y, x = np.clip(y + last_y, 0, size - 1), np.clip(x + last_x, 0, size - 1)
            j = (y + 0.5).astype(np.int32) * size + (x + 0.5).astype(np.int32)
            vy, vx = dy.ravel()[j], dx.ravel()[j]
            turn = np.where(vy * last_y + vx * last_x < 0, -1.0, 1.0).astype(np.float32)
            last_y, last_x = vy * turn, vx * turn
            total += texture.ravel()[j]
    out = total - total.mean()
    return (out / max(float(out.std()), 1e-6)).astype(np.float32)
