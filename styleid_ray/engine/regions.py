"""The regions of styles in a picture: masks and label maps at the resolution of latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from styleid_ray.engine.pairs import Index
from styleid_ray.errors import ConfigError


def as_maps(maps: Sequence[Any] | None) -> list[Tensor] | None:
    """Masks or label maps as tensors; each is a tensor, an array or a picture."""
    if maps is None:
        return None
    return [x if isinstance(x, Tensor) else torch.from_numpy(np.array(x)) for x in maps]


def strengths(
    index: Sequence[Index], latents: Sequence[Tensor], masks: Sequence[Tensor] | None
) -> list[Tensor] | None:
    """Each pair's strength [h, w] in [0, 1]: the mean of its content's mask, uint8 [H, W], over the
    pixels of each latent position. `latents` are the contents', [C, h, w]."""
    if masks is None:
        return None
    each = [_pooled(mask.to(z.device) / 255, z) for mask, z in zip(masks, latents, strict=True)]
    return [each[i] for i, _ in index]


def class_shares(
    index: Sequence[Index],
    latents: Sequence[Tensor],
    label_maps: Sequence[Tensor] | None,
    classes: Sequence[tuple[int, ...]] | None,
) -> list[Tensor] | None:
    """Each pair's shares [styles, h, w]: for a style after the first, the share of its class in the
    pixels of each latent position of the content's map, uint8 [H, W]; the rest for the first."""
    if label_maps is None or classes is None:
        return None
    shares: list[Tensor] = []
    for (i, _), own in zip(index, classes, strict=True):
        label_map, z = label_maps[i].to(latents[i].device), latents[i]
        parts = [_pooled((label_map == one).float(), z) for one in own]
        rest = z.new_ones(z.shape[1:]) - sum(parts)
        shares.append(torch.stack([rest, *parts]))
    return shares


def check_maps(
    index: Sequence[Index],
    pictures: Sequence[Tensor],
    masks: Sequence[Tensor] | None,
    label_maps: Sequence[Tensor] | None,
    classes: Sequence[tuple[int, ...]] | None,
) -> None:
    """Raises ConfigError if a mask or map differs in size from its content, uint8 [H, W, 3], or a
    pair lacks a class per further style."""
    for maps, what in ((masks, "mask"), (label_maps, "label map")):
        if maps is not None and [x.shape for x in maps] != [x.shape[:2] for x in pictures]:
            raise ConfigError(f"one {what} per content is needed, of its height and width")
        if maps is not None and any(x.dtype != torch.uint8 for x in maps):
            raise ConfigError(f"a {what} holds uint8, from 0 to 255")
    if (label_maps is None) != (classes is None):
        raise ConfigError("label maps and the classes of pairs go together")
    if classes is not None and [len(s) - 1 for _, s in index] != [len(own) for own in classes]:
        raise ConfigError("with label maps each pair needs one class per style after its first")


def at_layer(shares: Tensor, tokens: int) -> Tensor:
    """Shares [..., h, w] for the tokens of a layer of lower resolution: [..., tokens]."""
    *rest, h, w = shares.shape
    step = round((h * w / tokens) ** 0.5)
    return adaptive_avg_pool2d(shares.flatten(0, -3), (h // step, w // step)).view(*rest, tokens)


def _pooled(values: Tensor, latent: Tensor) -> Tensor:
    """Means of values [H, W] over the pixels of each position of a latent [C, h, w]."""
    height, width = latent.shape[1:]
    return adaptive_avg_pool2d(values[None].float(), (height, width))[0]
