"""The metrics of single pictures and pairs, by networks that stay in memory."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleid_ray.evaluation.cfsd import MOST_PATCHES, cfsd, patch_features
from styleid_ray.evaluation.histogram import histogram_loss, rgb_uv_histogram
from styleid_ray.evaluation.lpips import linear_layers, lpips_distance, lpips_features
from styleid_ray.evaluation.networks import inception
from styleid_ray.evaluation.pictures import as_tensor, at_512

PAIR_METRICS = ("lpips", "lpips_gray", "cfsd", "histogram_loss")
"""Metrics of a single pair; a set has their means."""
T = TypeVar("T")
_KEPT = {"content": 8, "style": 256}
"""Most recently used pictures whose features are kept: about 40 MB per content at 512 px."""


class Meter:
    """Measures pictures. Kept values of a content or a style serve all its pairs.

    Args:
        weights: tensors by network; a metric whose network is missing is not computed.
        device: "cuda" or "cpu".
    """

    def __init__(self, weights: Mapping[str, Mapping[str, Tensor]], device: str = "cpu") -> None:
        self.device = device
        self.batch = 4 if device == "cpu" else 16
        self.weights = {
            network: {name: tensor.to(device) for name, tensor in tensors.items()}
            for network, tensors in weights.items()
        }
        self.linear = [weight.to(device) for weight in linear_layers()]
        self._kept: dict[str, OrderedDict[str, Any]] = {role: OrderedDict() for role in _KEPT}

    @torch.inference_mode()
    def features(self, pictures: Sequence[Image.Image]) -> list[np.ndarray | None]:
        """Inception features [2048] of each picture, None without the network."""
        features: list[np.ndarray | None] = [None] * len(pictures)
        if "art_inception" not in self.weights:
            return features
        tensors = [as_tensor(at_512(picture)) for picture in pictures]
        for chunk in _of_one_shape(tensors, self.batch):
            batch = torch.stack([tensors[i] for i in chunk]).to(self.device)
            rows = inception(batch, self.weights["art_inception"]).cpu().numpy()
            for i, row in zip(chunk, rows, strict=True):
                features[i] = row
        return features

    @torch.inference_mode()
    def pair(
        self,
        result: Image.Image,
        content: tuple[str, Image.Image] | None,
        style: tuple[str, Image.Image] | None,
    ) -> dict[str, float | None]:
        """The metrics of one pair; None where an input or a network is missing, and for CFSD of
        pictures with too many patches.

        Args:
            result: the stylised picture, RGB.
            content: key and picture, RGB, of the result's size.
            style: key and picture, RGB.
        """
        values: dict[str, float | None] = dict.fromkeys(PAIR_METRICS)
        if content:
            key, picture = content
            name = f"{key}|{picture.size}"
            before = self._once("content", name, lambda: self._content(picture))
            after = self._content(result)
            for metric in ("lpips", "lpips_gray"):
                if metric in before:
                    pair = before[metric], after[metric]
                    values[metric] = lpips_distance(*pair, self.linear).item()
            if "patches" in before:
                values["cfsd"] = cfsd(before["patches"], after["patches"])
        if style:
            key, picture = style
            wanted = self._once("style", key, lambda: self._histogram(picture))
            values["histogram_loss"] = histogram_loss(self._histogram(result), wanted)
        return values

    def _content(self, picture: Image.Image) -> dict[str, Any]:
        """The features that describe a picture's content."""
        features: dict[str, Any] = {}
        if weights := self.weights.get("alexnet"):
            large = at_512(picture)
            for metric, image in (("lpips", large), ("lpips_gray", large.convert("L"))):
                features[metric] = lpips_features(as_tensor(image)[None].to(self.device), weights)
        weights = self.weights.get("vgg19")
        if weights and picture.width * picture.height <= MOST_PATCHES * 16:
            features["patches"] = patch_features(as_tensor(picture).to(self.device), weights)
        return features

    def _histogram(self, picture: Image.Image) -> Tensor:
        return rgb_uv_histogram(as_tensor(picture).to(self.device))

    def _once(self, role: str, key: str, make: Callable[[], T]) -> T:
        kept = self._kept[role]
        if key not in kept:
            kept[key] = make()
            if len(kept) > _KEPT[role]:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key]


def _of_one_shape(tensors: Sequence[Tensor], most: int) -> Iterator[list[int]]:
    """Indices of tensors that fit one batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, tensor in enumerate(tensors):
        groups.setdefault(tuple(tensor.shape), []).append(i)
    for group in groups.values():
        yield from (group[start : start + most] for start in range(0, len(group), most))
