"""Where in a picture which style applies: masks and label maps at the resolution of latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from styleid_ray.engine.pairs import Index
from styleid_ray.errors import ConfigError


def strength(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """[h, w] in [0, 1]: the mean of a mask, uint8 [H, W], over the pixels of each position."""
    return _pooled(mask.float() / 255, size)


def class_shares(label_map: Tensor, classes: Sequence[int], size: tuple[int, int]) -> Tensor:
    """[1 + classes, h, w] in [0, 1], of sum 1: the share that each class has of the pixels of each
    position, all other classes together first. `label_map` is uint8 [H, W]."""
    shares = torch.stack([_pooled((label_map == one).float(), size) for one in classes])
    return torch.cat([1 - shares.sum(0, keepdim=True), shares])


def at_layer(shares: Tensor, tokens: int) -> Tensor:
    """Shares [..., h, w] for the tokens of a layer of lower resolution: [..., tokens]."""
    *rest, h, w = shares.shape
    step = round((h * w / tokens) ** 0.5)
    return _pooled(shares.flatten(0, -3), (h // step, w // step)).view(*rest, tokens)


def _pooled(x: Tensor, size: tuple[int, int]) -> Tensor:
    return adaptive_avg_pool2d(x[None], size)[0] if x.dim() == 3 else _pooled(x[None], size)[0]


def pair_shares(
    index: Sequence[Index],
    latents: Sequence[Tensor],
    pixels: Sequence[Tensor],
    masks: Sequence[Tensor] | None,
    label_maps: Sequence[Tensor] | None,
    classes: Sequence[tuple[int, ...]] | None,
) -> list[Tensor] | None:
    """Each style's share [styles, h, w] of each position of its pair; None without regions.

    Args:
        index: the pairs.
        latents, pixels: of the contents, [C, h, w] and [H, W, 3].
        masks, label_maps, classes: as of `StyleIDPipeline.stylize`.

    Raises:
        ConfigError: a mask or map has another size than its content, or a pair has not one class
            per further style.
    """
    if masks is None and label_maps is None:
        return None
    for maps, what in ((masks, "mask"), (label_maps, "label map")):
        if maps is not None and [x.shape for x in maps] != [x.shape[:2] for x in pixels]:
            raise ConfigError(f"one {what} per content is needed, of its height and width")
    if label_maps is not None and [len(s) - 1 for _, s in index] != [len(c) for c in classes or ()]:
        raise ConfigError("with label maps each pair needs one class per further style")
    shares: list[Tensor] = []
    for row, (i, _) in enumerate(index):
        size, device = (latents[i].shape[1], latents[i].shape[2]), latents[i].device
        share = torch.ones(1, *size, device=device)
        if label_maps is not None and classes is not None and classes[row]:
            share = class_shares(label_maps[i].to(device), classes[row], size)
        if masks is not None:
            share = share * strength(masks[i].to(device), size)
        shares.append(share)
    return shares
