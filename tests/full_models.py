"""Configurations of models at their full size, of what memory and arithmetic depend on."""

from __future__ import annotations

from typing import Any

SD1: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": 3 * ["CrossAttnDownBlock2D"] + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + 3 * ["CrossAttnUpBlock2D"],
}
SD2 = SD1 | {
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SDXL = SD2 | {
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "down_block_types": ["DownBlock2D"] + 2 * ["CrossAttnDownBlock2D"],
    "up_block_types": 2 * ["CrossAttnUpBlock2D"] + ["UpBlock2D"],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
KL: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": 4 * ["DownEncoderBlock2D"],
    "up_block_types": 4 * ["UpDecoderBlock2D"],
    "layers_per_block": 2,
}
KL_XL = KL | {"force_upcast": True}
