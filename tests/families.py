"""Random models of every family that the method runs on, with every part that one has, at the
smallest size; the same weights every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_TOKENS = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]


def save_sd1(folder: Path) -> Path:
    """SD 1.x: a native size of 64 px, layers 3-11. Returns the folder."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=2,
    ).save_pretrained(folder / "unet")
    _kl(scaling_factor=0.18215).save_pretrained(folder / "vae")
    _save_scheduler(folder, "DDIMScheduler", prediction_type="epsilon")
    _save_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    CLIPTextModel(_text(8, layers=1)).save_pretrained(folder / "text_encoder")
    return _save_index(folder, "StableDiffusionPipeline", unet="UNet2DConditionModel")


def save_sd2(folder: Path, prediction_type: Literal["epsilon", "v_prediction"] = "epsilon") -> Path:
    """SD 2.x: linear projections, a number of heads per level, a text encoder of its own. One that
    predicts ε has a native size of 64 px, one that predicts v 96 px. Returns the folder."""
    torch.manual_seed(2)
    v = prediction_type == "v_prediction"
    UNet2DConditionModel(
        sample_size=12 if v else 8,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        cross_attention_dim=12,
        attention_head_dim=(1, 2, 4, 4),
        use_linear_projection=True,
        upcast_attention=v,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, scaling_factor=0.18215)
    kind = "DDIMScheduler" if v else "PNDMScheduler"
    _save_scheduler(folder, kind, prediction_type=prediction_type, skip_prk_steps=True)
    _save_tokenizer(folder / "tokenizer", pad="a")
    CLIPTextModel(_text(12, layers=2, hidden_act="gelu")).save_pretrained(folder / "text_encoder")
    return _save_index(
        folder,
        "StableDiffusionPipeline",
        unet="UNet2DConditionModel",
        vae="AutoencoderKL",
        scheduler=kind,
        text_encoder="CLIPTextModel",
        tokenizer="CLIPTokenizer",
    )


def save_sdxl(folder: Path, zeros: bool = True) -> Path:
    """SDXL: two and three transformer blocks per resnet, text and time as added conditions, two
    text encoders. A native size of 128 px, layers 0-8 and 9-14. The empty prompt's embeddings are
    `zeros`, or encoded. Returns the folder."""
    torch.manual_seed(3)
    pooled, time = 10, 4
    UNet2DConditionModel(
        sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8, 16),
        transformer_layers_per_block=(1, 2, 3),
        attention_head_dim=(1, 2, 4),
        norm_num_groups=4,
        cross_attention_dim=8 + 12,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=time,
        projection_class_embeddings_input_dim=pooled + 6 * time,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, scaling_factor=0.13025, force_upcast=True)
    _save_scheduler(
        folder, "EulerDiscreteScheduler", prediction_type="epsilon", timestep_spacing="leading"
    )
    _save_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    _save_tokenizer(folder / "tokenizer_2", pad="a")
    CLIPTextModel(_text(8, layers=2)).save_pretrained(folder / "text_encoder")
    CLIPTextModelWithProjection(
        _text(12, layers=3, hidden_act="gelu", projection_dim=pooled)
    ).save_pretrained(folder / "text_encoder_2")
    return _save_index(
        folder,
        "StableDiffusionXLPipeline",
        {"force_zeros_for_empty_prompt": zeros},
        unet="UNet2DConditionModel",
        vae="AutoencoderKL",
        scheduler="EulerDiscreteScheduler",
        text_encoder="CLIPTextModel",
        text_encoder_2="CLIPTextModelWithProjection",
        tokenizer="CLIPTokenizer",
        tokenizer_2="CLIPTokenizer",
    )


def save_unconditional(
    folder: Path,
    kind: Literal["UNet2DModel", "UNet2DConditionModel"] = "UNet2DConditionModel",
) -> Path:
    """A model without text, of either of diffusers' classes: plain attention in the two coarser
    levels. A native size of 64 px, layers 0-5. Returns the folder."""
    torch.manual_seed(4)
    build: Any = UNet2DModel if kind == "UNet2DModel" else UNet2DConditionModel
    build(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8, 16),
        norm_num_groups=4,
        attention_head_dim=4,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, scaling_factor=0.18215)
    _save_scheduler(folder, "DDIMScheduler", prediction_type="epsilon")
    return _save_index(
        folder, "LDMPipeline", unet=kind, vae="AutoencoderKL", scheduler="DDIMScheduler"
    )


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "sd1": save_sd1,
    "sd2": save_sd2,
    "sd2-v": lambda folder: save_sd2(folder, "v_prediction"),
    "sdxl": save_sdxl,
    "sdxl-encoded": lambda folder: save_sdxl(folder, zeros=False),
    "unconditional": save_unconditional,
    "unconditional-2d": lambda folder: save_unconditional(folder, "UNet2DModel"),
}
"""Name of a family → what writes a model of it into a folder."""


def save_kl(folder: Path, levels: int = 4, seed: int = 1, **config: Any) -> Path:
    """An autoencoder alone, of so many resolutions. Returns the folder."""
    torch.manual_seed(seed)
    _kl(levels, **config).save_pretrained(folder)
    return folder


def _kl(levels: int = 4, **config: Any) -> AutoencoderKL:
    """An autoencoder of factor 2^(levels - 1)."""
    return AutoencoderKL(
        block_out_channels=(4, 4, 8, 8, 8)[:levels],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=2,
        **config,
    )


def _save_vae(folder: Path, **config: Any) -> None:
    """An autoencoder of factor 8; its JSON says `force_upcast` only where `config` does."""
    target = folder / "vae"
    _kl(**config).save_pretrained(target)
    if "force_upcast" not in config:
        stored = json.loads((target / "config.json").read_text())
        del stored["force_upcast"]
        (target / "config.json").write_text(json.dumps(stored))


def _save_scheduler(folder: Path, kind: str, **config: Any) -> None:
    target = folder / "scheduler"
    target.mkdir(parents=True)
    (target / "scheduler_config.json").write_text(
        json.dumps({"_class_name": kind, **_NOISE, **config})
    )


def _save_tokenizer(target: Path, pad: str) -> None:
    target.mkdir(parents=True)
    (target / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(_TOKENS)}))
    (target / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(
        str(target / "vocab.json"),
        str(target / "merges.txt"),
        model_max_length=77,
        pad_token=pad,
    ).save_pretrained(target)


def _text(width: int, layers: int, **config: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(_TOKENS),
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 4,
        max_position_embeddings=77,
        bos_token_id=4,
        eos_token_id=5,
        **config,
    )


def _save_index(
    folder: Path, pipeline: str, options: dict[str, Any] | None = None, **parts: str
) -> Path:
    """Writes `model_index.json`: parts by name, each with its class."""
    entries = {
        name: ["transformers" if kind.startswith("CLIP") else "diffusers", kind]
        for name, kind in parts.items()
    }
    index = {"_class_name": pipeline, **(options or {}), **entries}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
