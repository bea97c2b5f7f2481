"""A random model of the SD 1.x family, with every part that one has, at the smallest size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def save_tiny_model(folder: Path, prediction_type: str = "epsilon") -> Path:
    """Writes the model in diffusers format; the same weights every time. Returns the folder."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=2,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(4, 4, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type=prediction_type,
    ).save_pretrained(folder / "scheduler")
    _save_tokenizer(folder)
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=6,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=4,
            eos_token_id=5,
        )
    ).save_pretrained(folder / "text_encoder")
    (folder / "model_index.json").write_text(
        json.dumps(
            {
                "_class_name": "StableDiffusionPipeline",
                "unet": ["diffusers", "UNet2DConditionModel"],
            }
        )
    )
    return folder


def save_kl(folder: Path, levels: int = 4, seed: int = 1, **config: object) -> Path:
    """Writes an autoencoder in diffusers format, of so many resolutions. Returns the folder."""
    torch.manual_seed(seed)
    AutoencoderKL(
        block_out_channels=(4, 4, 8, 8, 8)[:levels],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=2,
        **config,  # pyright: ignore[reportArgumentType]
    ).save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    target = folder / "tokenizer"
    target.mkdir(parents=True)
    tokens = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    (target / "vocab.json").write_text(json.dumps(vocab))
    (target / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(
        str(target / "vocab.json"), str(target / "merges.txt"), model_max_length=77
    ).save_pretrained(target)


if __name__ == "__main__":
    print(save_tiny_model(Path(sys.argv[1])))
