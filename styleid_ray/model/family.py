"""Refusals of models that StyleID cannot use, by their small files, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from styleid_ray.errors import ModelError, first_line
from styleid_ray.model.description import unet_channels, vae_channels
from styleid_ray.model.parts import NULL_EMBEDDING, encoders

if TYPE_CHECKING:
    from styleid_ray.model.checkpoint import Checkpoint

UNETS = ("UNet2DConditionModel", "UNet2DModel")
KINDS = ("AutoencoderKL", "AutoencoderTiny")
"""Kinds of autoencoders that can replace a model's own."""
AUTOENCODERS = (*KINDS, "VQModel")
"""Kinds of autoencoders that a model may have."""
_PREDICTIONS = ("epsilon", "v_prediction")
_SCHEDULES = ("EDM", "FlowMatch")
"""Name parts of schedulers whose diffusion process DDIM does not invert."""


def check_family(checkpoint: Checkpoint) -> None:
    """Raises ModelError for a model that StyleID cannot use, by its small files."""
    unet, vae = checkpoint.config("unet"), checkpoint.config("vae")
    scheduler = checkpoint.config("scheduler")
    refusals = chain(
        _of_unet(unet), _of_vae(unet, vae), _of_scheduler(scheduler), _of_prompt(checkpoint)
    )
    for refusal in refusals:
        raise ModelError(f"model {checkpoint.name}: {refusal}")


def _of_unet(unet: Mapping[str, Any]) -> Iterator[str]:
    kind, added = unet.get("_class_name"), unet.get("addition_embed_type")
    if kind not in UNETS:
        yield f"its unet is a {kind}: StyleID needs one of {', '.join(UNETS)}"
    if added not in (None, "text_time"):
        yield (
            f"its unet takes the condition {added!r} (Kandinsky and DeepFloyd IF do), for which an "
            "empty prompt has no value"
        )
    if unet.get("class_embed_type") or unet.get("num_class_embeds"):
        yield (
            "its unet is conditioned on a class, a noise level or a picture; a content/style pair "
            "provides none"
        )
    if unet.get("encoder_hid_dim") or unet.get("encoder_hid_dim_type"):
        yield (
            "its unet projects its prompt (Kandinsky and DeepFloyd IF do), which StyleID does not "
            "know"
        )


def _of_vae(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> Iterator[str]:
    kind = vae.get("_class_name", "")
    if kind not in AUTOENCODERS:
        yield f"its autoencoder {kind!r} is not supported: it must be one of " + ", ".join(
            AUTOENCODERS
        )
    latent = vae_channels(vae)
    taken, given = unet_channels(unet), unet_channels(unet, "out_channels")
    if taken != latent:
        yield (
            f"the unet takes {taken} channels but the autoencoder makes {latent} "
            "(inpainting and depth models cannot be used)"
        )
    if given != latent:
        yield f"the unet gives {given} channels and not the noise of {latent} alone"


def _of_scheduler(scheduler: Mapping[str, Any]) -> Iterator[str]:
    kind, predicts = scheduler.get("_class_name", ""), scheduler.get("prediction_type", "epsilon")
    if any(name in kind for name in _SCHEDULES):
        yield f"its diffusion process ({kind}) is not the one that DDIM inverts"
    if predicts not in _PREDICTIONS:
        yield f"its unet predicts {predicts!r}: StyleID needs one of {', '.join(_PREDICTIONS)}"


def _of_prompt(checkpoint: Checkpoint) -> Iterator[str]:
    try:
        model = checkpoint.description
    except ModelError as e:
        yield str(e)
        return
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as e:
        yield f"unet/config.json does not describe a whole unet: {first_line(e)}"
        return
    if not model.text_width and _reads_text(checkpoint.config("unet")):
        yield "its unet reads a prompt in its encoder and not in its decoder"
    if not model.sites:
        yield "its unet's decoder has no self-attention that StyleID could inject into"
    files = checkpoint.files
    if model.pooled_width and checkpoint.index.get("requires_aesthetics_score"):
        yield (
            "it is a refiner, whose unet takes a picture's aesthetic score and the prompt of one "
            "text encoder: use the base model"
        )
    if model.pooled_width and NULL_EMBEDDING in files:
        yield (
            f"its unet takes a pooled embedding too, which {NULL_EMBEDDING} lacks: remove this "
            "file, and use the text encoders"
        )
    if checkpoint.single or checkpoint.zero_prompt or NULL_EMBEDDING in files:
        return
    for part in ("text_encoder", *(["text_encoder_2"] if model.pooled_width else [])):
        if model.text_width and part not in encoders(files, zero_prompt=False):
            yield f"the part {part}/ is missing"


def _reads_text(unet: Mapping[str, Any]) -> bool:
    """Whether the encoder or the middle of a unet has cross-attention."""
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    conditional = unet.get("_class_name") == UNETS[0]
    blocks = (*unet.get("down_block_types", ()), middle or "")
    return conditional and any("CrossAttn" in block for block in blocks)
