"""Training of the codec: joint at first, then the decoder alone on frozen latents."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from demo_model.codec import Codec, decode, encode
from demo_model.pictures import Pixels


@dataclass(frozen=True)
class CodecSchedule:
    """How to train the codec: `steps` of `batch` crops of `crop` x `crop` pixels."""

    steps: int = 1500
    batch: int = 12
    crop: int = 64
    learning_rate: float = 1e-3
    latent_noise: float = 0.02
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
        # Drawn pictures are rougher than photographs: enlarged pieces stand in for smooth ones.
        cut = side if self.rng.random() < 0.4 else round(side / self.rng.uniform(1.2, 3.0))
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


class CodecTrainer:
    """State of a codec's training: weights, their average, optimiser, step; saved as one file.

    The latents are kept near unit variance and perturbed a little, so that the decoder bears
    latents that no encoder made. With `decoder_only` the encoder, and so the latents, stay.
    """

    def __init__(self, codec: Codec, schedule: CodecSchedule, decoder_only: bool = False) -> None:
        self.codec, self.schedule, self.decoder_only = codec, schedule, decoder_only
        self.device = next(codec.parameters()).device
        self.average = copy.deepcopy(codec).eval().requires_grad_(False)
        codec.train()
        codec.encoder.requires_grad_(not decoder_only)
        codec.quant_conv.requires_grad_(not decoder_only)
        self.parameters = [p for p in codec.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, schedule.learning_rate, (0.9, 0.99), weight_decay=0.0
        )
        self.step = 0
        self.loss = 0.0

    def rate(self) -> float:
        """Learning rate at this step: linear warm-up, then a cosine to 3 %."""
        share = min(1.0, self.step / self.schedule.steps)
        cosine = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share))
        return self.schedule.learning_rate * min(1.0, (self.step + 1) / 50) * cosine

    def train_step(
        self, pictures: Tensor, precision: Callable[[], AbstractContextManager[object]]
    ) -> float:
        """One step on pictures [B, 3, H, W] in [-1, 1]; returns the loss."""
        pictures = pictures.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        with precision():
            with torch.set_grad_enabled(not self.decoder_only):
                z = encode(self.codec, pictures)
            noise = self.schedule.latent_noise * torch.randn_like(z)
            output = decode(self.codec, z + noise).float()
        loss = reconstruction_loss(output, pictures)
        if not self.decoder_only:
            variance = z.float().var(dim=(0, 2, 3))
            loss = loss + 0.002 * (variance.log() ** 2).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.schedule.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.codec.parameters(), strict=True):
                mean.lerp_(now, 1.0 - keep)
        value = float(loss.detach())
        self.loss += (value - self.loss) / min(self.step, 50)
        return value

    def save(self, path: Path) -> None:
        """Write the whole state, aside first, so that a kill leaves a whole file."""
        state: dict[str, Any] = {
            "codec": self.codec.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "loss": self.loss,
            "random": torch.get_rng_state(),
        }
        aside = path.with_suffix(".tmp")
        torch.save(state, aside)
        aside.rename(path)

    def load(self, path: Path) -> None:
        """Go on from a saved state."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.codec.load_state_dict(state["codec"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.loss = state["step"], state["loss"]
        torch.set_rng_state(state["random"].cpu())


def train_codec(
    trainer: CodecTrainer,
    crops: Crops,
    checkpoint: Path,
    log: Callable[[str], None],
    precision: Callable[[], AbstractContextManager[object]],
    save_every: float = 180.0,
) -> Codec:
    """Train to the end of the schedule; returns the exponential moving average.

    Saves every `save_every` seconds and at the end.
    """
    plan = trainer.schedule
    start = saved = time.monotonic()
    first = trainer.step
    while trainer.step < plan.steps:
        trainer.train_step(crops.batch(plan.batch, plan.crop), precision)
        now = time.monotonic()
        if trainer.step % 50 == 0:
            left = (now - start) / (trainer.step - first) * (plan.steps - trainer.step) / 60
            at = f"{trainer.step}/{plan.steps}"
            log(f"codec step {at} loss {trainer.loss:.4f} left {left:.1f} min")
        if now - saved > save_every:
            trainer.save(checkpoint)
            saved = now
    trainer.save(checkpoint)
    return trainer.average


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
