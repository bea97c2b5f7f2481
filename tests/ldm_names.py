"""Models of tests in one file, under the names of the first release of Stable Diffusion."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel

T = TypeVar("T")
XL_TEXT = "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"
"""A tensor by which diffusers knows an XL file."""
_RESNET = (
    *(("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1")),
    *(("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection")),
)
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_OPEN = (
    *(("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc")),
    *(("mlp.fc2", "mlp.c_proj"), ("self_attn", "attn")),
)


def save_single(folder: Path, file: Path, open_clip: bool = False, **metadata: str) -> Path:
    """Writes the parts of a model in diffusers format into one file. Returns the file.

    Args:
        folder: the model.
        file: where to.
        open_clip: whether its text encoder has the names of the second family.
        metadata: of the file.
    """
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    vae: Any = AutoencoderKL.from_pretrained(folder / "vae")
    tensors = unet_names(unet.state_dict(), unet.config.layers_per_block)
    tensors |= vae_names(vae.state_dict(), len(vae.config.block_out_channels))
    if unet.config.addition_embed_type:
        tensors[XL_TEXT] = torch.zeros(1)
    else:
        text = CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict()
        tensors |= open_clip_names(text) if open_clip else clip_names(text)
    tensors = {name: x.contiguous().clone() for name, x in tensors.items()}
    save_file(tensors, file, {"format": "pt", **metadata})
    return file


def unet_names(tensors: Mapping[str, T], depth: int) -> dict[str, T]:
    """The tensors of a unet, with `depth` residual blocks in each of its encoder's blocks."""
    crossed = {m[1] for n in tensors if (m := re.match(r"up_blocks\.(\d+)\.attentions", n))}

    def named(name: str) -> str:
        for own, old in _TOP.items():
            if name.startswith(f"{own}."):
                return old + name.removeprefix(own)
        block, _, rest = name.partition(".")
        number, kind, j, inner = 0, "", 0, ""
        if block == "mid_block":
            kind, at, inner = rest.split(".", 2)
            place = f"middle_block.{2 * int(at) if kind == 'resnets' else 1}"
        else:
            at, kind, j, inner = rest.split(".", 3)
            number = int(at) * (depth + 1)
            if kind == "downsamplers":
                return f"input_blocks.{number + depth + 1}.0.op{inner.removeprefix('conv')}"
            if kind == "upsamplers":
                return f"output_blocks.{number + depth}.{2 if at in crossed else 1}.{inner}"
            own = int(kind == "attentions")
            down = block == "down_blocks"
            place = f"{'in' if down else 'out'}put_blocks.{number + int(j) + int(down)}.{own}"
        return f"{place}.{_replaced(inner, _RESNET) if kind == 'resnets' else inner}"

    return {f"model.diffusion_model.{named(name)}": x for name, x in tensors.items()}


def vae_names(tensors: Mapping[str, Any], levels: int) -> dict[str, Any]:
    """The tensors of an autoencoder of so many resolutions."""

    def named(name: str) -> str:
        name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}", name)
        name = name.replace(".resnets.", ".block.").replace(".upsamplers.0", ".upsample")
        name = re.sub(r"mid_block\.block\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
        name = re.sub(r"\.to_([qkv])\.", r".\1.", name).replace("to_out.0", "proj_out")
        return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")

    return {f"first_stage_model.{named(name)}": x for name, x in tensors.items()}


def clip_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """The tensors of a text encoder of the first family."""
    start = "cond_stage_model.transformer.text_model."
    return {start + name.removeprefix("text_model."): x for name, x in tensors.items()}


def open_clip_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a text encoder of the second family, and its last layer, which is not used."""
    own = {name.removeprefix("text_model."): x for name, x in tensors.items()}
    made: dict[str, Tensor] = {
        "positional_embedding": own.pop("embeddings.position_embedding.weight"),
        "token_embedding.weight": own.pop("embeddings.token_embedding.weight"),
        "ln_final.weight": own.pop("final_layer_norm.weight"),
        "ln_final.bias": own.pop("final_layer_norm.bias"),
    }
    width = made["ln_final.bias"].shape[0]
    made["text_projection"] = torch.zeros(width, width, device=made["ln_final.bias"].device)
    for name, x in own.items():
        place = _replaced(name.replace("encoder.layers", "transformer.resblocks"), _OPEN)
        if ".q_proj." in place:
            parts = [own[name.replace("q_proj", f"{kind}_proj")] for kind in "qkv"]
            made[place.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", place):
            made[place] = x
    last = max(int(m[1]) for n in made if (m := re.search(r"resblocks\.(\d+)", n)))
    unused = {n.replace(f".{last}.", ".23."): x for n, x in made.items() if f".{last}." in n}
    return {f"cond_stage_model.model.{name}": x for name, x in (unused | made).items()}


def copy_configs(folder: Path, target: Path) -> Path:
    """The configurations of a model alone. Returns the target."""
    for part in ("unet", "vae", "scheduler", "text_encoder"):
        for file in (folder / part).glob("*.json"):
            (target / part).mkdir(parents=True, exist_ok=True)
            (target / part / file.name).write_text(file.read_text())
    return target


def set_padding(folder: Path, token: int) -> None:
    """Changes the number of padding in a text encoder's configuration."""
    file = folder / "text_encoder" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": token}))


def _replaced(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    for own, old in pairs:
        name = name.replace(own, old)
    return name
