"""The stages of training, each from files to files, so that any of them can be run again alone.

draw     pictures/   triples of drawn pictures
codec    codec/      the autoencoder, trained upward from the linear solution (state: codec.pt)
encode   latents/    the triples as latents; freezes the encoder
unet     unet.pt     the denoiser's training state
decoder  refined/    the codec with its decoder trained further, the latents unchanged (decoder.pt)
export   OUT         the model in diffusers format
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import save_file

from demo_model.codec import WIDTHS, Codec, build_codec, start_linear
from demo_model.codec_training import CodecSchedule, CodecTrainer, Crops, normalise
from demo_model.latents import LatentCrops, encode_pictures
from demo_model.pictures import draw_chunks, load_chunks
from demo_model.trainer import Precision, train
from demo_model.unet import SIZES, Denoiser, UNetSize, build_scheduler
from demo_model.unet_training import UNetSchedule, UNetTrainer


@dataclass(frozen=True)
class Recipe:
    """Everything that a size of the model means: widths, data, schedules."""

    unet: UNetSize
    widths: tuple[int, ...] = WIDTHS
    latent_channels: int = 16
    picture_size: int = 256
    chunks: int = 40
    variants: int = 2
    codec: CodecSchedule = field(default_factory=CodecSchedule)
    decoder: CodecSchedule = field(default_factory=CodecSchedule)
    schedule: UNetSchedule = field(default_factory=UNetSchedule)


RECIPES: dict[str, Recipe] = {
    "tiny": Recipe(
        SIZES["tiny"], widths=(16, 24, 32, 40), picture_size=64, chunks=1, variants=1,
        codec=CodecSchedule(steps=30, batch=4, crop=64),
        decoder=CodecSchedule(steps=10, batch=4, crop=64),
        schedule=UNetSchedule(steps=60, crops=((4, 8),), warmup=10),
    ),
    "small": Recipe(SIZES["small"], schedule=UNetSchedule(steps=2000)),
    "base": Recipe(
        SIZES["base"],
        codec=CodecSchedule(steps=2100, batch=12),
        decoder=CodecSchedule(steps=5000, batch=4, crop=128, learning_rate=5e-4),
        schedule=UNetSchedule(steps=5000, learning_rate=6e-4, ema=0.999),
    ),
    "large": Recipe(
        SIZES["large"], widths=(64, 128, 256, 256), chunks=1000,
        codec=CodecSchedule(steps=50_000, batch=32, crop=128, learning_rate=3e-4),
        decoder=CodecSchedule(steps=20_000, batch=16, crop=256, learning_rate=1e-4),
        schedule=UNetSchedule(
            steps=200_000, crops=((64, 16), (32, 32)), learning_rate=2e-4, warmup=1000, ema=0.9995
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Workshop:
    """Where a training run keeps its files, and on what it runs."""

    folder: Path
    recipe: Recipe
    seed: int
    device: torch.device
    log: Callable[[str], None]
    workers: int = 1
    resume: bool = False

    def precision(self) -> AbstractContextManager[object]:
        """bfloat16 autocast: on a GPU, and on processors that multiply bfloat16 matrices."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def draw(self) -> None:
        """Draw the training pictures; those already there are kept."""
        recipe = self.recipe
        draw_chunks(
            self.folder / "pictures", recipe.chunks, recipe.picture_size, self.seed, self.workers
        )
        self.log(f"drawn {recipe.chunks} chunks of pictures")

    def train_codec(self) -> None:
        """Start the codec at the linear solution, train it, normalise its latents."""
        torch.manual_seed(self.seed)
        chunks = load_chunks(self.folder / "pictures")
        crops = Crops(chunks, self.seed)
        codec = build_codec(self.recipe.latent_channels, self.recipe.widths)
        start_linear(codec, crops.batch(48, min(128, self.recipe.picture_size)))
        trainer = CodecTrainer(codec.to(self.device), self.recipe.codec)
        trained = self._train_codec(trainer, "codec.pt", self.precision)
        normalise(trained, Crops(chunks, self.seed + 1).batch(40, self.recipe.picture_size))
        trained.save_pretrained(self.folder / "codec")

    def _train_codec(self, trainer: CodecTrainer, checkpoint: str, precision: Precision) -> Codec:
        path = self.folder / checkpoint
        if self.resume and path.exists():
            trainer.load(path)
        # Crops drawn after a resume differ from those before it.
        crops = Crops(load_chunks(self.folder / "pictures"), self.seed + 2 + trainer.step)
        plan = trainer.schedule
        return train(
            trainer,
            lambda: trainer.train_step(crops.batch(plan.batch, plan.crop), precision),
            path,
            self.log,
        ).cpu()

    def encode(self) -> None:
        """Encode the training pictures with the codec; its encoder must not change after this."""
        codec = load_codec(self.folder / "codec").to(self.device)
        encode_pictures(
            codec, self.folder / "pictures", self.folder / "latents", self.recipe.variants
        )
        self.log("encoded the pictures")

    def train_unet(self) -> None:
        """Train the denoiser on the latents; with `resume` go on from its last checkpoint."""
        torch.manual_seed(self.seed)
        trainer = self._trainer()
        checkpoint = self.folder / "unet.pt"
        if self.resume and checkpoint.exists():
            trainer.load(checkpoint)
        # Crops drawn after a resume differ from those before it.
        crops = LatentCrops(self.folder / "latents", self.seed + trainer.step)
        sides = trainer.schedule.crops

        def step() -> None:
            triples, side = sides[trainer.step % len(sides)]
            trainer.train_step(crops.batch(triples, side), self.precision)

        train(trainer, step, checkpoint, self.log, saved=crops.reload)

    def refine_decoder(self) -> None:
        """Train the decoder further on larger crops while the encoder, and so the latents, stay.

        In float32: the last layers work around a bias that costs bfloat16 digits.
        """
        torch.manual_seed(self.seed + 1)
        codec = load_codec(self.folder / "codec").to(self.device)
        trainer = CodecTrainer(codec, self.recipe.decoder, decoder_only=True)
        self._train_codec(trainer, "decoder.pt", nullcontext).save_pretrained(
            self.folder / "refined"
        )

    def export(self, out: Path) -> None:
        """Write the averaged weights in float16 as a diffusers folder; keeps a README.md there."""
        trainer = self._trainer()
        trainer.load(self.folder / "unet.pt")
        refined = self.folder / "refined"
        codec = load_codec(refined if refined.exists() else self.folder / "codec")
        write_model(out, codec, trainer.average)
        self.log(f"wrote {out} after {trainer.step} steps")

    def _trainer(self) -> UNetTrainer:
        denoiser = Denoiser(self.recipe.unet, self.recipe.latent_channels).to(self.device)
        return UNetTrainer(denoiser, self.recipe.schedule, self.seed)


def load_codec(folder: Path) -> Codec:
    """A codec in float32, ready for inference."""
    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval()


def write_model(out: Path, codec: Codec, denoiser: Denoiser) -> None:
    """Write unet/, vae/, scheduler/, the null embedding and model_index.json, in float16."""
    for part in ("unet", "vae", "scheduler"):
        shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    denoiser.unet.half().save_pretrained(out / "unet")
    codec.half().save_pretrained(out / "vae")
    build_scheduler().save_pretrained(out / "scheduler")
    for config in out.glob("*/config.json"):
        values = json.loads(config.read_text())
        values.pop("_name_or_path", None)
        config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    embedding = {"null_embedding": denoiser.null_embedding.detach().half().contiguous().cpu()}
    save_file(embedding, out / "null_embedding.safetensors")
    index = {
        "_class_name": "StyleIDDemo",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
