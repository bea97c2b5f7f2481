"""Training of the codec: joint at first, then the decoder alone on frozen latents."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from styleid_ray.models.codec import Codec, decode, encode
from styleid_ray.models.pictures import Pixels


@dataclass(frozen=True)
class CodecSchedule:
    """How to train the codec. `freeze` is the share of steps after which the encoder rests."""

    steps: int = 1500
    batch: int = 12
    crop: int = 64
    learning_rate: float = 1e-3
    freeze: float = 1.0
    latent_noise: float = 0.05
    ema: float = 0.995


class Crops:
    """Random square crops of drawn pictures, flipped and with colours exchanged at times."""

    def __init__(self, chunks: list[Pixels], seed: int) -> None:
        self.chunks = chunks
        self.rng = np.random.default_rng(seed)

    def batch(self, count: int, side: int) -> Tensor:
        """Pictures [count, 3, side, side] in [-1, 1]."""
        crops = [self._crop(side) for _ in range(count)]
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def _crop(self, side: int) -> Pixels:
        chunk = self.chunks[int(self.rng.integers(len(self.chunks)))]
        picture = chunk[int(self.rng.integers(len(chunk))), int(self.rng.integers(3))]
        # Drawn pictures are rougher than photographs: enlarged halves stand in for smooth ones.
        cut = side // 2 if self.rng.random() < 0.4 else side
        y, x = self.rng.integers(0, picture.shape[0] - cut + 1, 2)
        crop = picture[y : y + cut, x : x + cut]
        if cut < side:
            large = Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC)
            crop = np.asarray(large)
        if self.rng.random() < 0.5:
            crop = crop[:, ::-1]
        if self.rng.random() < 0.3:
            crop = crop[:, :, self.rng.permutation(3)]
        return np.ascontiguousarray(crop)


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Squared error, plus the absolute error of gradients at two scales; pictures in [-1, 1]."""
    loss = 4.0 * F.mse_loss(output, target)
    for _ in range(2):
        for axis in (2, 3):
            loss = loss + 0.1 * F.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return loss


def train_codec(
    codec: Codec,
    crops: Crops,
    schedule: CodecSchedule,
    log: Callable[[str], None],
    precision: Callable[[], AbstractContextManager[object]],
    decoder_only: bool = False,
) -> Codec:
    """Train in place for `schedule.steps` steps; returns the exponential moving average.

    The latents are kept near unit variance and perturbed a little, so that the decoder bears
    latents that no encoder made. With `decoder_only` the encoder stays as it is.
    """
    device = next(codec.parameters()).device
    codec.train()
    if decoder_only:
        codec.encoder.requires_grad_(False)
        codec.quant_conv.requires_grad_(False)
    parameters = [p for p in codec.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, schedule.learning_rate, (0.9, 0.99), weight_decay=0.0)
    average = copy.deepcopy(codec).eval().requires_grad_(False)
    start, running = time.monotonic(), 0.0
    for step in range(schedule.steps):
        share = step / schedule.steps
        rate = min(1.0, (step + 1) / 50) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * rate
        pictures = crops.batch(schedule.batch, schedule.crop).to(device)
        with precision():
            with torch.set_grad_enabled(not decoder_only):
                z = encode(codec, pictures)
            output = decode(codec, z + schedule.latent_noise * torch.randn_like(z)).float()
        loss = reconstruction_loss(output, pictures)
        if not decoder_only:
            variance = z.float().var(dim=(0, 2, 3))
            loss = loss + 0.002 * (variance.log() ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        keep = min(schedule.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), codec.parameters(), strict=True):
                mean.lerp_(now, 1.0 - keep)
        running += (float(loss.detach()) - running) / min(step + 1, 50)
        if (step + 1) % 50 == 0:
            left = (time.monotonic() - start) / (step + 1) * (schedule.steps - step - 1) / 60
            log(f"codec step {step + 1}/{schedule.steps} loss {running:.4f} left {left:.1f} min")
    return average


def psnr(output: Tensor, target: Tensor) -> float:
    """Mean over pictures [N, 3, H, W] in [-1, 1] of the peak signal-to-noise ratio in dB."""
    error = (output.clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)).clamp_min(1e-10)
    return float((10 * torch.log10(4.0 / error)).mean())


@torch.no_grad()
def normalise(codec: Codec, pictures: Tensor) -> None:
    """Fold the latents' mean and deviation per channel into the 1 x 1 convolutions at the door."""
    z = codec.encode(pictures, return_dict=False)[0].mode()
    mean, spread = z.mean(dim=(0, 2, 3)), z.std(dim=(0, 2, 3))
    channels = len(mean)
    inward, outward = codec.quant_conv, codec.post_quant_conv
    inward.weight[:channels] /= spread[:, None, None, None]
    inward.bias[:channels] = (inward.bias[:channels] - mean) / spread
    outward.bias += outward.weight[:, :, 0, 0] @ mean
    outward.weight *= spread[None, :, None, None]
