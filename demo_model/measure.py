"""Measures a demo model: its codec, its round trip, and what stylised pictures took and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from demo_model.codec import decode, encode
from demo_model.codec_training import psnr
from demo_model.drawing import draw_content, draw_style
from demo_model.likeness import (
    colour_distance,
    edge_correlation,
    texture_distance,
    texture_gram,
)
from styleid_ray.config import StyleParams
from styleid_ray.engine.pipeline import StyleIDPipeline

HELD_OUT = 900_000
"""First seed of drawn pictures that no training run draws."""

SETTINGS: dict[str, StyleParams] = {
    "default": StyleParams(steps=50),
    "few pairs": StyleParams(steps=50),
    "gamma 0.3": StyleParams(steps=50, gamma=0.3),
    "gamma 1.0": StyleParams(steps=50, gamma=1.0),
    "temperature 1.0": StyleParams(steps=50, temperature=1.0),
    "temperature 2.0": StyleParams(steps=50, temperature=2.0),
    "adain only": StyleParams(steps=50, inject=False),
}


def measure(
    model: Path, out: Path, photos: Path | None, paintings: Path | None, log: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the model in a folder; writes OUT/measured.json and pictures, returns the numbers."""
    out.mkdir(parents=True, exist_ok=True)
    pipe = StyleIDPipeline.from_pretrained(str(model))
    drawn = [draw_content(HELD_OUT + k) for k in range(12)]
    painted = [draw_style(HELD_OUT + k) for k in range(12)]
    real = {"library photographs": library_photographs()}
    real |= {"photographs": load_folder(photos)} if photos else {}
    real |= {"paintings": load_folder(paintings)} if paintings else {}
    result: dict[str, Any] = {"codec": {}, "round trip": {}, "stylised": {}}
    for name, pictures in {"drawn": drawn + painted, **real}.items():
        result["codec"][name] = measure_codec(pipe.vae, pictures)
        log(f"codec, {name}: {result['codec'][name]}")
        result["round trip"][name] = measure_round_trip(pipe, pictures[:3])
        log(f"round trip, {name}: {result['round trip'][name]}")
    photographs = [p for name, pictures in real.items() if name != "paintings" for p in pictures]
    contents = drawn[1:2] + photographs[1::2]
    styles = painted[:1] + real.get("paintings", [])[:6]
    for name, params in SETTINGS.items():
        # The default on all pairs, its variations on a few: compare those with "few pairs".
        few = slice(None) if name == "default" else slice(None, None, 3)
        some, looks = contents[few], styles[few]
        pictures = pipe(some, looks, pairs="cross", params=params)
        result["stylised"][name] = measure_likeness(some, looks, pictures)
        contact_sheet(some, looks, pictures).save(out / f"{name.replace(' ', '-')}.png")
        log(f"stylised, {name}: {result['stylised'][name]}")
    (out / "measured.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def library_photographs() -> list[Image.Image]:
    """Colour photographs that come inside scikit-image, 256 x 256."""
    from skimage import data

    names = (
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "hubble_deep_field",
        "retina",
        "immunohistochemistry",
    )
    return [square(Image.fromarray(getattr(data, name)())) for name in names]


def load_folder(folder: Path) -> list[Image.Image]:
    """The pictures of a folder in order of name, 256 x 256."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    return [square(Image.open(path)) for path in paths]


def square(image: Image.Image, size: int = 256) -> Image.Image:
    """The middle square of a picture, RGB, at the given size."""
    return ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)


def to_tensor(pictures: list[Image.Image]) -> Tensor:
    """Float [N, 3, H, W] in [-1, 1]."""
    pixels = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_array(picture: Image.Image) -> np.ndarray:
    """Float32 [H, W, 3] in [0, 1]."""
    return np.asarray(picture, dtype=np.float32) / 255.0


@torch.no_grad()
def measure_codec(vae: Any, pictures: list[Image.Image]) -> dict[str, float]:
    """PSNR in dB of the codec, and of as many principal components of 8 x 8 patches."""
    x = to_tensor(pictures)
    z = encode(vae, x)
    linear = principal_reconstruction(x, z.shape[1])
    return {
        "codec": round(psnr(decode(vae, z), x), 2),
        "principal components": round(psnr(linear, x), 2),
        "pictures": len(pictures),
    }


def principal_reconstruction(x: Tensor, components: int, patch: int = 8) -> Tensor:
    """Pictures rebuilt from the first principal components of patches of drawn pictures."""
    drawn = [draw_content(800_000 + k) for k in range(24)] + [
        draw_style(800_000 + k) for k in range(24)
    ]
    rows = F.pixel_unshuffle(to_tensor(drawn), patch).movedim(1, -1).flatten(0, 2)
    mean = rows.mean(dim=0)
    axes = torch.linalg.eigh(torch.cov((rows - mean).T))[1][:, -components:]
    patches = F.pixel_unshuffle(x, patch).movedim(1, -1)
    rebuilt = (patches - mean) @ axes @ axes.T + mean
    return F.pixel_shuffle(rebuilt.movedim(-1, 1), patch)


def measure_round_trip(
    pipe: StyleIDPipeline, pictures: list[Image.Image], steps: int = 50
) -> dict[str, float]:
    """PSNR in dB of inverting and sampling without injection, against the reconstruction."""
    params = StyleParams(steps=steps, inject=False, adain=False)
    z = pipe.encode(pictures)
    back = pipe.transfer_latents(z, z, [(k, k) for k in range(len(z))], params)
    output, target = to_tensor(pipe.decode(back)), to_tensor(pipe.decode(z))
    return {"psnr": round(psnr(output, target), 2), "pictures": len(pictures)}


def measure_likeness(
    contents: list[Image.Image],
    styles: list[Image.Image],
    pictures: list[Image.Image],
) -> dict[str, float]:
    """Means over all pairs, contents outermost.

    `colour` and `texture`: share of the content's distance to the style that is gone, 1 = arrived.
    `edges`: correlation of gradient magnitudes with the content's.
    """
    looks = [(to_array(style), texture_gram(to_array(style))) for style in styles]
    rows = []
    for k, picture in enumerate(pictures):
        a, c = to_array(contents[k // len(styles)]), to_array(picture)
        b, gram = looks[k % len(styles)]
        before, rough = colour_distance(a, b), texture_distance(texture_gram(a), gram)
        after, fine = colour_distance(c, b), texture_distance(texture_gram(c), gram)
        rows.append((before, after, rough, fine, edge_correlation(a, c)))
    before, after, rough, fine, edges = np.mean(rows, axis=0)
    return {
        "colour": round(float(1 - after / before), 3),
        "texture": round(float(1 - fine / rough), 3),
        "edges": round(float(edges), 3),
        "pairs": len(pictures),
    }


def contact_sheet(
    contents: list[Image.Image], styles: list[Image.Image], pictures: list[Image.Image]
) -> Image.Image:
    """Styles along the top, contents down the side, results between."""
    side, gap = pictures[0].width, 4
    step = side + gap
    sheet = Image.new("RGB", (step * (len(styles) + 1), step * (len(contents) + 1)), "white")
    for k, style in enumerate(styles):
        sheet.paste(style, (step * (k + 1), 0))
    for k, content in enumerate(contents):
        sheet.paste(content, (0, step * (k + 1)))
    for k, picture in enumerate(pictures):
        row, column = divmod(k, len(styles))
        sheet.paste(picture, (step * (column + 1), step * (row + 1)))
    return sheet
