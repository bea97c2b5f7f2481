"""LoRA weights added to a unet by diffusers' loaders."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from styleid_ray.errors import ModelError
from styleid_ray.model.lora import Lora

_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_PREFIX, _ALPHA = "unet.", ".alpha"
_LONGEST_REASON = 200
"""Most characters of libraries' messages."""


def add_loras(unet: Any, loras: Sequence[Lora], model: str) -> None:
    """Adds LoRA weights to a unet's, W + w·α/r·B·A each, and leaves nothing else behind.

    Args:
        unet: diffusers `UNet2DConditionModel`, on the CPU.
        loras: files and their weights w. Weights of text encoders are ignored.
        model: its name, for messages.

    Raises:
        ModelError: weights do not fit the unet.
    """
    for lora in loras:
        try:
            _add(unet, lora, model)
        except ModelError:
            raise
        except Exception as e:  # peft and diffusers raise many kinds
            raise ModelError(f"--lora {lora.path} cannot be added: {_reason(e)}") from e


def _add(unet: Any, lora: Lora, model: str) -> None:
    from diffusers.loaders import StableDiffusionXLLoraLoaderMixin as Loader
    from diffusers.utils import convert_unet_state_dict_to_peft

    loaded: Any = Loader.lora_state_dict(
        str(lora.path.parent),
        weight_name=lora.path.name,
        use_safetensors=True,
        local_files_only=True,
        unet_config=unet.config,
        return_lora_metadata=True,
    )
    given, alphas, metadata = loaded
    # diffusers renames all or none, by the first name; its training scripts write both kinds.
    renamed = convert_unet_state_dict_to_peft(
        {
            n.replace(".processor.", "."): x
            for n, x in {**given, **(alphas or {})}.items()
            if n.startswith(_PREFIX)
        }
    )
    tensors = {name: x for name, x in renamed.items() if not name.endswith(_ALPHA)}
    layers = [name.removesuffix(_DOWN) for name in tensors if name.endswith(_DOWN)]
    misfits = [name for name in layers if not _fits(unet, name, tensors)]
    if misfits or not layers:
        first = f", such as {misfits[0].removeprefix(_PREFIX)}" if misfits else ""
        raise ModelError(
            f"--lora {lora.path} does not fit {model}: {len(misfits)} of its {len(layers)} layers "
            f"are not in the unet, or have another shape there{first}; take weights that were made "
            "for this family of models"
        )
    scales = _alphas(renamed, layers)
    unet.load_lora_adapter(
        tensors,
        network_alphas=scales,
        metadata=None if scales else metadata,
        prefix=_PREFIX.removesuffix("."),
    )
    unet.fuse_lora(lora_scale=lora.weight)
    unet.unload_lora()


def _alphas(renamed: Mapping[str, Any], layers: Sequence[str]) -> dict[str, float] | None:
    """α of each layer, by diffusers' name of the layer; None if the file has none. A layer without
    α has its rank instead, for a scale of 1."""
    stored = {
        name.removesuffix(_ALPHA).removesuffix(_DOWN): float(x)
        for name, x in renamed.items()
        if name.endswith(_ALPHA)
    }
    if not stored:
        return None
    # With ^, peft matches a name as a whole, not as the end of others.
    return {
        f"{_PREFIX}^{layer.removeprefix(_PREFIX)}{_ALPHA}": stored.get(
            layer, float(renamed[layer + _DOWN].shape[0])
        )
        for layer in layers
    }


def _fits(unet: Any, layer: str, tensors: Mapping[str, Tensor]) -> bool:
    try:
        weight = unet.get_submodule(layer.removeprefix(_PREFIX)).weight
    except AttributeError:
        return False
    down, up = tensors[layer + _DOWN], tensors.get(layer + _UP)
    return (
        up is not None
        and (up.shape[0], down.shape[1]) == tuple(weight.shape[:2])
        and down.shape[2:] == weight.shape[2:]
    )


def _reason(error: Exception) -> str:
    """The first two lines of a message: diffusers lists unknown names in the second."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[:2]) or type(error).__name__
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} …"
