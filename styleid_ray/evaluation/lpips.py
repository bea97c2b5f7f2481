"""LPIPS, the distance of two pictures in the features of AlexNet (Zhang et al. 2018), version 0.1.

The linear layers come from torchmetrics, which contains the authors' file. torchmetrics' own LPIPS
needs torchvision.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from styleid_ray.evaluation.networks import Weights, alexnet

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10


def linear_layers() -> list[Tensor]:
    """The weights [1, C, 1, 1] of the five channels' sums."""
    spec = find_spec("torchmetrics")
    assert spec
    assert spec.origin
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return [tensors[f"lin{i}.model.1.weight"] for i in range(5)]


def lpips_features(pictures: Tensor, w: Weights) -> list[Tensor]:
    """Features of pictures, normed over the channels at each position.

    Args:
        pictures: [N, 3, h, w], or [N, 1, h, w] for grey ones; in [0, 1].
        w: of AlexNet.
    """
    shift, scale = (pictures.new_tensor(v).view(1, 3, 1, 1) for v in (_SHIFT, _SCALE))
    outputs = alexnet((2 * pictures - 1 - shift) / scale, w)
    return [x / (x.square().sum(1, keepdim=True).sqrt() + _EPSILON) for x in outputs]


def lpips_distance(first: list[Tensor], second: list[Tensor], linear: list[Tensor]) -> Tensor:
    """LPIPS [N] of pictures, by their features; 0 for equal ones."""
    distances = [
        ((x - y).square() * weight).sum(1).mean((1, 2))
        for x, y, weight in zip(first, second, linear, strict=True)
    ]
    return torch.stack(distances).sum(0)
