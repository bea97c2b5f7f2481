"""A model in one safetensors file, with tensor names of the original release.

Its family follows from names and shapes; nothing here imports torch at module level.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from safetensors import safe_open

from styleid_ray.errors import ModelError
from styleid_ray.model.whole import Shapes, read_shapes

PREFIXES = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("cond_stage_model.",),
}
"""Prefixes of the names of a part's tensors."""
_FAMILIES = {"v1": "sd1", "v2": "sd2", "xl_base": "sdxl"}
"""Families by diffusers' name."""
_FOLDER = Path(__file__).parent / "families"
_UNET = "model.diffusion_model."
_XL = f"{_UNET}label_emb.0.0.weight"
_ENTRY = f"{_UNET}input_blocks.0.0.weight"
"""Name of the unet's first convolution."""
_READS_TEXT = ".attn2.to_k.weight"
_EDM = "edm_"
_BIAS = f"{_UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias"
_LEAST_SPREAD = 0.09
_LARGE = 96
"""Latent side that models of the second family with v-prediction were trained on."""


@dataclass(frozen=True)
class SingleFile:
    """The content of one file."""

    family: str
    """"sd1", "sd2" or "sdxl"."""
    prediction_type: str
    zero_snr: bool
    """Whether the last timestep is pure noise."""
    parts: frozenset[str]
    """The parts whose weights it contains: "unet", "vae" and "text_encoder"."""

    @property
    def folder(self) -> Path:
        """The configurations of its family, in diffusers format."""
        return folder_of(self.family)

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration as diffusers stores it."""
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        config = json.loads((self.folder / part / name).read_text())
        predicts_v = self.prediction_type == "v_prediction"
        if part == "scheduler":
            config["prediction_type"] = self.prediction_type
            config |= {"rescale_betas_zero_snr": True} if self.zero_snr else {}
        if part == "unet" and self.family == "sd2" and predicts_v:
            config["sample_size"] = _LARGE
        return config


def folder_of(family: str) -> Path:
    """The folder with the configurations of a family."""
    return _FOLDER / family


def read_single(model: str, path: Path) -> SingleFile:
    """The content of a file, by its header; no more than 320 numbers of its weights are read.

    Args:
        model: its name, for messages.
        path: the file.

    Raises:
        ModelError: it is no whole safetensors file, or its family cannot be used.
    """
    shapes, metadata = read_shapes(f"model {model}", path)
    if not any(name.startswith(_UNET) for name in shapes):
        raise ModelError(
            f"model {model}: the file has no unet under the names of Stable Diffusion ({_UNET}*): "
            "name a whole checkpoint, or a folder in diffusers format; LoRA weights go to --lora, "
            "an autoencoder to --vae"
        )
    if any(name.startswith(_EDM) for name in shapes):
        raise ModelError(
            f"model {model}: the file is a model of the kind 'EDM' (CosXL and Playground 2.5 are), "
            "whose diffusion process is not the one that DDIM inverts"
        )
    kind = kind_of(shapes)
    if kind not in _FAMILIES:
        raise ModelError(
            f"model {model}: the file is a model of the kind {kind!r}: single files can be of the "
            "Stable Diffusion 1.x, 2.x and XL families, for text to image"
        )
    family = _FAMILIES[kind]
    held = {part for part in PREFIXES if any(n.startswith(PREFIXES[part]) for n in shapes)}
    if family != "sdxl" and "text_encoder" not in held:
        raise ModelError(
            f"model {model}: the file has no text encoder (cond_stage_model.*): use a whole one"
        )
    predicts = _prediction(family, shapes, metadata, path)
    single = SingleFile(family, predicts, "ztsnr" in shapes, frozenset(held))
    for refusal in _misfits(single, shapes):
        raise ModelError(f"model {model}: the file has a unet that {refusal}")
    return single


def _misfits(single: SingleFile, shapes: Shapes) -> Iterator[str]:
    """Reasons why a unet does not belong to its family for text to image, by a few shapes."""
    unet = single.config("unet")
    entry = shapes.get(_ENTRY, ())
    channels = unet["in_channels"]
    if len(entry) > 1 and entry[1] != channels:
        yield (
            f"takes {entry[1]} channels and not {channels} (inpainting, depth and editing models "
            "cannot be used)"
        )
    if single.family != "sdxl" and any(n.startswith(f"{_UNET}label_emb.") for n in shapes):
        yield (
            "is conditioned on a noise level or a picture (unCLIP is); a content/style pair "
            "provides none"
        )
    wanted = {_ENTRY: (0, unet["block_out_channels"][0])}
    wanted |= {n: (1, unet["cross_attention_dim"]) for n in shapes if n.endswith(_READS_TEXT)}
    for name, (dimension, size) in wanted.items():
        shape = shapes.get(name, ())
        if len(shape) <= dimension or shape[dimension] != size:
            yield (
                f"is not of its family ({single.family}): {name} has the shape {list(shape)}; "
                f"dimension {dimension + 1} should be {size}. A model of another size must be in "
                "diffusers format"
            )


def kind_of(shapes: Shapes) -> str:
    """The family of a file by names and shapes, under diffusers' name."""
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    kind = infer_diffusers_model_type(
        {name: SimpleNamespace(shape=tuple(x)) for name, x in shapes.items()}
    )
    # diffusers takes any unknown file for v1. An XL file may lack its text encoders.
    return "xl_base" if kind == "v1" and _XL in shapes else kind


def _prediction(family: str, shapes: Shapes, metadata: Mapping[str, str], path: Path) -> str:
    """The unet's prediction type, by the file's metadata or a tensor named `v_pred`. Files of the
    second family rarely have either: there the last transformer's first bias has a standard
    deviation above 0.09 if they predict v, which is ComfyUI's rule."""
    stated = metadata.get("modelspec.prediction_type", "")
    if stated:
        return "v_prediction" if stated.startswith("v") else "epsilon"
    if "v_pred" in shapes:
        return "v_prediction"
    if family != "sd2" or _BIAS not in shapes:
        return "epsilon"
    with safe_open(path, "pt") as f:
        spread = f.get_tensor(_BIAS).float().std(correction=0)
    return "v_prediction" if spread > _LEAST_SPREAD else "epsilon"
