"""LoRA weights for a model's unet: `--lora`, files added when the model is loaded.

Nothing here imports torch, so that a driver without a GPU can check them before a job starts.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.repository import digest_of
from styleid_ray.model.whole import Shapes, read_shapes
from styleid_ray.storage.locations import absolute, local_path, shown

LoraFiles: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]]
"""LoRA weights: files separated by commas, each as FILE or FILE:WEIGHT, a path, or several."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WEIGHTED = re.compile(rf"(?P<file>.*?)(?::(?P<weight>{_NUMBER}))?", re.DOTALL)
_OF_UNET = re.compile(r"(?:lora_unet_|unet\.).*lora")
_OF_TRANSFORMER = re.compile(
    r"(?:transformer\.|lora_transformer_|(?:diffusion_model\.|lora_unet_)(?:double|single|joint)_)"
    ".*lora"
)
_OTHERS = {
    **dict.fromkeys(("dora_scale", "lora_magnitude_vector"), "DoRA"),
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
}
"""Kinds of weights other than LoRA, by parts of their names."""
_READS_TEXT = re.compile(
    r"attn2[._](?:processor\.)?to_[kv][._](?:lora\.)?(?:lora_down|down|lora_A)\b.*weight"
)
"""Names of tensors with the width of the prompt's embedding."""
_OF_XL, _XL_WIDTH = ("lora_te2_", "text_encoder_2."), 2048
_BASES = {
    768: "Stable Diffusion 1.x",
    1024: "Stable Diffusion 2.x",
    _XL_WIDTH: "Stable Diffusion XL",
}
"""Families by the width of the prompt's embedding."""


@dataclass(frozen=True)
class Lora:
    """LoRA weights in a file, and their factor."""

    path: Path
    weight: float

    @property
    def reference(self) -> str:
        """The value of --lora that names these unambiguously."""
        return f"{self.path}:{self.weight:g}"

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the weights do."""
        return digest_of("", self.path.parent, (self.path.name,))

    @property
    def identity(self) -> str:
        """Their identity, independent of their location."""
        return f"{name_of(self.reference)} {self.fingerprint}"


def split(loras: LoraFiles) -> list[str]:
    """The files, with their weights, of a comma-separated list, or of Python's list.

    Raises:
        ModelError: one is neither a name nor a path.
    """
    if isinstance(loras, str):
        return [part.strip() for part in loras.split(",") if part.strip()]
    listed = [loras] if isinstance(loras, PathLike) else loras
    for lora in listed:
        if not isinstance(lora, str | PathLike):
            raise ModelError(f"--lora {lora!r} is not a file: write 'FILE' or 'FILE:WEIGHT'")
    return [os.fspath(lora) for lora in listed]


def name_of(lora: str) -> str:
    """The name and weight of a --lora option in a run, independent of the file's location."""
    file, weight = _read(lora)
    return f"{Path(file).name}:{weight:g}"


def reference_of(lora: str) -> str:
    """The value of --lora in another working directory."""
    file, weight = _read(lora)
    return Lora(Path(absolute(file)), weight).reference


def with_loras(model: Checkpoint, loras: Sequence[str]) -> Checkpoint:
    """A model with the LoRA weights of the --lora options, checked to suit it.

    Raises:
        ModelError: a file is missing, damaged, no LoRA of a unet, or made for another base.
    """
    files = tuple(_find(lora) for lora in loras)
    for lora in files:
        _check(lora, model)
    return replace(model, loras=files) if files else model


def _read(lora: str) -> tuple[str, float]:
    match = _WEIGHTED.fullmatch(lora)
    assert match, lora
    return match["file"], float(match["weight"] or 1)


def _find(lora: str) -> Lora:
    file, weight = _read(lora)
    if local_path(file) is None:
        raise ModelError(
            f"--lora {shown(file)}: LoRA weights are taken from local files; copy them to a path "
            "that every node has"
        )
    path = Path(absolute(file))
    if path.is_dir():
        inside = sorted(path.glob("*.safetensors"))
        if len(inside) != 1:
            raise ModelError(f"--lora {file} is a folder: name a .safetensors file in it")
        path = inside[0]
    if not path.is_file():
        named, colon, wrong = lora.rpartition(":")
        if colon and (named.endswith(".safetensors") or os.path.exists(absolute(named))):
            raise ModelError(
                f"--lora {named}: weight {wrong!r} is not a number: write FILE:0.8, for instance"
            )
        raise ModelError(f"--lora {file}: there is no such file: name one with its .safetensors")
    return Lora(path, weight)


def _check(lora: Lora, model: Checkpoint) -> None:
    what = f"--lora {lora.path}"
    shapes, _ = read_shapes(what, lora.path)
    for part, kind in _OTHERS.items():
        if any(part in name for name in shapes):
            raise ModelError(
                f"{what} holds {kind} weights: only LoRA weights can be added to a unet"
            )
    if any(_OF_TRANSFORMER.match(name) for name in shapes):
        raise ModelError(
            f"{what} was made for a diffusion transformer (FLUX or Stable Diffusion 3, for "
            f"instance), and {model.name} has a unet: take weights that were made for its family"
        )
    if not any(_OF_UNET.match(name) for name in shapes):
        raise ModelError(f"{what} has no LoRA weights of a unet")
    made_for, width = _text_width(shapes), model.description.text_width
    if made_for and made_for != width:
        raise ModelError(
            f"{what} was made for {_base(made_for)}, and {model.name} is {_base(width)}: take "
            "weights that were made for this family of models"
        )


def _text_width(shapes: Shapes) -> int | None:
    """The width of the prompt's embedding that weights were made for; None if none reads it and
    none belongs to the text encoder that only one family has."""
    for name, shape in shapes.items():
        if _OF_UNET.match(name) and _READS_TEXT.search(name):
            return shape[1]
    return _XL_WIDTH if any(name.startswith(_OF_XL) for name in shapes) else None


def _base(width: int) -> str:
    if not width:
        return "a model without text"
    return _BASES.get(width, f"a model whose prompts are {width} numbers wide")
