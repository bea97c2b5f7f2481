"""Random LoRA weights for the models of tests."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

LAYERS = ["attn2.to_k", "attn1.to_out.0", "ff.net.0.proj", "resnets.0.conv1"]


def save_lora(model: Path, file: Path, rank: int = 2, seed: int = 5) -> Path:
    """Writes random LoRA weights for a model's unet, as diffusers' training scripts do. Returns the
    file."""
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    torch.manual_seed(seed)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS))
    tensors = {n: 0.3 * torch.randn_like(x) for n, x in get_peft_model_state_dict(unet).items()}
    StableDiffusionPipeline.save_lora_weights(
        file.parent, convert_state_dict_to_diffusers(tensors), weight_name=file.name
    )
    return file
