"""Training of the codec: joint at first, then the decoder alone on frozen latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from demo_model.codec import Codec, decode, encode
from demo_model.pictures import Pixels
from demo_model.trainer import Precision, Schedule, Trainer


@dataclass(frozen=True)
class CodecSchedule(Schedule):
    """How to train the codec: `steps` of `batch` crops of `crop` x `crop` pixels."""

    steps: int = 1500
    learning_rate: float = 1e-3
    ema: float = 0.995
    batch: int = 12
    crop: int = 64
    latent_noise: float = 0.02


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


class CodecTrainer(Trainer[Codec]):
    """State of a codec's training.

    The latents are kept near unit variance and perturbed a little, so that the decoder bears
    latents that no encoder made. With `decoder_only` the encoder, and so the latents, stay.
    """

    name = "codec"
    schedule: CodecSchedule

    def __init__(self, codec: Codec, schedule: CodecSchedule, decoder_only: bool = False) -> None:
        codec.train()
        codec.encoder.requires_grad_(not decoder_only)
        codec.quant_conv.requires_grad_(not decoder_only)
        super().__init__(codec, schedule, losses=1, weight_decay=0.0)
        self.decoder_only = decoder_only

    def train_step(self, pictures: Tensor, precision: Precision) -> float:
        """One step on pictures [B, 3, H, W] in [-1, 1]; returns the loss."""
        pictures = pictures.to(self.device)
        with precision():
            with torch.set_grad_enabled(not self.decoder_only):
                z = encode(self.model, pictures)
            noise = self.schedule.latent_noise * torch.randn_like(z)
            output = decode(self.model, z + noise).float()
        loss = reconstruction_loss(output, pictures)
        if not self.decoder_only:
            variance = z.float().var(dim=(0, 2, 3))
            loss = loss + 0.002 * (variance.log() ** 2).mean()
        return self.descend(loss, [float(loss.detach())])


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
