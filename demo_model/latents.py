"""Latents of the training set: encoded once, cropped for every training step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from demo_model.codec import Codec, encode
from demo_model.pictures import Pixels, load_chunks


def augment(triple: Pixels, rng: np.random.Generator) -> Pixels:
    """Flip pictures and exchange colours of uint8 [3, H, W, 3]; style and target change alike."""
    content, style, target = triple
    if rng.random() < 0.5:
        content, target = content[:, ::-1], target[:, ::-1]
    if rng.random() < 0.5:
        style = style[:, ::-1]
    if rng.random() < 0.5:
        order = rng.permutation(3)
        style, target = style[:, :, order], target[:, :, order]
    if rng.random() < 0.3:
        content = content[:, :, rng.permutation(3)]
    return np.stack([content, style, target])


@torch.no_grad()
def encode_chunk(codec: Codec, source: Pixels, path: Path, seed: int) -> None:
    """Write float16 latents [n, 3, C, h, w] of a chunk of triples, freshly augmented."""
    rng = np.random.default_rng([4, seed])
    device = next(codec.parameters()).device
    out = []
    for triple in source:
        pixels = torch.from_numpy(augment(triple, rng)).permute(0, 3, 1, 2)
        out.append(encode(codec, pixels.float().to(device) / 127.5 - 1.0).half().cpu())
    aside = path.with_suffix(".tmp.npy")
    np.save(aside, torch.stack(out).numpy())
    aside.rename(path)


def encode_pictures(codec: Codec, pictures: Path, folder: Path, variants: int) -> None:
    """Encode every chunk `variants` times, each time augmented differently; keeps what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks = load_chunks(pictures)
    for variant in range(variants):
        for k, chunk in enumerate(chunks):
            path = folder / f"latents-{variant:02d}-{k:05d}.npy"
            if not path.exists():
                encode_chunk(codec, chunk, path, variant * len(chunks) + k)


class LatentCrops:
    """Random crops of latent triples; the content's and the target's crop are the same place."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng([5, seed])
        self.chunks: list[np.ndarray] = []
        self.reload()

    def reload(self) -> None:
        """Take in the chunks that were encoded since."""
        paths = [p for p in sorted(self.folder.glob("latents-*.npy")) if ".tmp" not in p.name]
        if not paths:
            raise FileNotFoundError(f"no latents in {self.folder}: run the stage `encode` first")
        self.chunks = [np.load(path, mmap_mode="r") for path in paths]

    def batch(self, count: int, side: int) -> Tensor:
        """Float latents [3, count, C, side, side]: contents, styles, targets."""
        triples = []
        for _ in range(count):
            chunk = self.chunks[int(self.rng.integers(len(self.chunks)))]
            content, style, target = chunk[int(self.rng.integers(len(chunk)))]
            (y1, x1), (y2, x2) = self.rng.integers(0, content.shape[-1] - side + 1, (2, 2))
            place = (slice(None), slice(y1, y1 + side), slice(x1, x1 + side))
            other = (slice(None), slice(y2, y2 + side), slice(x2, x2 + side))
            triples.append(np.stack([content[place], style[other], target[place]]))
        return torch.from_numpy(np.stack(triples, axis=1)).float()
