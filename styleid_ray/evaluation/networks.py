"""The three networks of the metrics, as functions of their tensors.

The tensors keep the names of the published checkpoints: torchvision's for AlexNet and VGG19, and
the ArtFID authors', which are torchvision's too, for the Inception v3 trained on art. Only the
layers that metrics use are computed. torchvision's own classes would bind the package to one build
of PyTorch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = Mapping[str, Tensor]

_ALEXNET = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
"""Number of the layer, stride, padding, and whether a pool of 3 with stride 2 precedes it."""
_VGG = ((0, False), (2, False), (5, True), (7, False), (10, True))
"""Number of the layer, and whether a pool of 2 precedes it."""
_BATCH_NORM = ("running_mean", "running_var", "weight", "bias")
_BATCH_NORM_EPSILON = 1e-3


def alexnet(x: Tensor, w: Weights) -> list[Tensor]:
    """The outputs of AlexNet's five ReLUs (Krizhevsky 2014, torchvision's `alexnet`).

    Args:
        x: pictures [N, 3, h, w], normalised, at least 63 pixels wide and high.
        w: `features.{0,3,6,8,10}.{weight,bias}`.
    """
    outputs = []
    for number, stride, padding, pooled in _ALEXNET:
        x = F.max_pool2d(x, 3, 2) if pooled else x
        name = f"features.{number}"
        x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding))
        outputs.append(x)
    return outputs


def vgg19_conv3(x: Tensor, w: Weights) -> Tensor:
    """VGG19 up to the ReLU after conv3_1 (Simonyan and Zisserman 2015, torchvision's `vgg19`).

    Args:
        x: pictures [N, 3, h, w], normalised.
        w: `features.{0,2,5,7,10}.{weight,bias}`.

    Returns:
        [N, 256, h // 4, w // 4].
    """
    for number, pooled in _VGG:
        x = F.max_pool2d(x, 2) if pooled else x
        x = F.relu(F.conv2d(x, w[f"features.{number}.weight"], w[f"features.{number}.bias"], 1, 1))
    return x


def inception(x: Tensor, w: Weights) -> Tensor:
    """The features before the heads of Inception v3 (Szegedy et al. 2016), as ArtFID takes them.

    Args:
        x: pictures [N, 3, h, w] in [0, 1], at least 75 pixels wide and high. They are not
            normalised.
        w: the tensors of its convolutions (`NAME.conv.weight`) and batch norms (`NAME.bn.*`).

    Returns:
        [N, 2048]: the mean over all positions after `Mixed_7c`.
    """
    net = _Inception(w)
    x = net.valid("Conv2d_1a_3x3", x, 2)
    x = net.valid("Conv2d_2a_3x3", x)
    x = F.max_pool2d(net.same("Conv2d_2b_3x3", x), 3, 2)
    x = net.valid("Conv2d_4a_3x3", net.same("Conv2d_3b_1x1", x))
    x = F.max_pool2d(x, 3, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = net.block(name, x, ("5x5_1", "5x5_2"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
    x = net.reduction("Mixed_6a", x, ("3x3",), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
    double = tuple(f"7x7dbl_{i}" for i in range(1, 6))
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = net.block(name, x, ("7x7_1", "7x7_2", "7x7_3"), double)
    single = tuple(f"7x7x3_{i}" for i in range(1, 5))
    x = net.reduction("Mixed_7a", x, ("3x3_1", "3x3_2"), single)
    for name in ("Mixed_7b", "Mixed_7c"):
        x = net.block(name, x, ("3x3_1", "3x3_2"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"), split=True)
    return x.mean((2, 3))


class _Inception:
    """The parts of Inception v3."""

    def __init__(self, w: Weights) -> None:
        self.w = w

    def same(self, name: str, x: Tensor) -> Tensor:
        """A convolution that keeps width and height."""
        height, width = self.w[f"{name}.conv.weight"].shape[2:]
        return self._convolution(name, x, 1, (height // 2, width // 2))

    def valid(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        """A convolution without padding."""
        return self._convolution(name, x, stride, (0, 0))

    def _convolution(self, name: str, x: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
        w = self.w
        x = F.conv2d(x, w[f"{name}.conv.weight"], None, stride, padding)
        mean, var, weight, bias = (w[f"{name}.bn.{part}"] for part in _BATCH_NORM)
        return F.relu(F.batch_norm(x, mean, var, weight, bias, eps=_BATCH_NORM_EPSILON))

    def block(self, name: str, x: Tensor, *paths: Sequence[str], split: bool = False) -> Tensor:
        """Parallel paths of convolutions, one of 1 x 1, and an average pool; with `split` the last
        convolution of each longer path is two parallel ones, a and b."""
        outputs = [self.same(f"{name}.branch1x1", x)]
        for path in paths:
            y = x
            for part in path[:-1] if split else path:
                y = self.same(f"{name}.branch{part}", y)
            ends = [f"{path[-1]}{side}" for side in "ab"] if split else []
            outputs += [self.same(f"{name}.branch{end}", y) for end in ends] or [y]
        pooled = F.avg_pool2d(x, 3, 1, 1)
        return torch.cat([*outputs, self.same(f"{name}.branch_pool", pooled)], 1)

    def reduction(self, name: str, x: Tensor, *paths: Sequence[str]) -> Tensor:
        """Parallel paths whose last convolution halves width and height, and a maximum pool."""
        outputs = []
        for *parts, last in paths:
            y = x
            for part in parts:
                y = self.same(f"{name}.branch{part}", y)
            outputs.append(self.valid(f"{name}.branch{last}", y, 2))
        return torch.cat([*outputs, F.max_pool2d(x, 3, 2)], 1)
