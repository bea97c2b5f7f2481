"""Measures of attention features, as plain formulas."""

from dataclasses import dataclass

import torch
from torch import Tensor

COMPONENTS = 3
"""Principal components of a map, drawn as red, green and blue."""


@dataclass(frozen=True)
class Components:
    """Principal components of vectors of dimension D."""

    mean: Tensor
    """[D]."""
    axes: Tensor
    """[D, COMPONENTS]: orthonormal columns by falling variance. The greatest entry of each, by
    magnitude, is positive. Zeros where the vectors have fewer dimensions."""
    shares: Tensor
    """[COMPONENTS]: share of the total variance along each axis; zeros for equal vectors."""

    def project(self, x: Tensor) -> Tensor:
        """Coordinates [N, COMPONENTS] of vectors [N, D]."""
        return (x.double() - self.mean) @ self.axes


def principal_components(x: Tensor) -> Components:
    """Principal components of vectors [N, D], in float64: eigenvectors of their covariance."""
    x = x.double()
    mean = x.mean(0)
    centred = x - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    values, vectors = values.clamp_min(0).flip(0), vectors.flip(1)
    axes, shares = x.new_zeros(x.shape[1], COMPONENTS), x.new_zeros(COMPONENTS)
    count = min(COMPONENTS, x.shape[1])
    greatest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    axes[:, :count] = (vectors * greatest.sign())[:, :count]
    if total := values.sum():
        shares[:count] = values[:count] / total
    return Components(mean, axes, shares)


def logit_deviation(q: Tensor, k: Tensor) -> float:
    """Spread of attention logits before softmax: the standard deviation of q·kᵀ / √d over the keys
    (divided by their number), averaged over queries and heads.

    Softmax ignores a query's mean logit, so this deviation alone tells how sharp its attention
    is. It follows from the keys' covariance C as √(q·C·qᵀ / d), which needs d × d numbers per
    head instead of queries × keys.

    Args:
        q: queries [heads, tokens, d].
        k: keys [heads, their own number of tokens, d].
    """
    q, k = q.float(), k.float()
    centred = k - k.mean(1, keepdim=True)
    covariance = centred.transpose(1, 2) @ centred / k.shape[1]
    variance = (q @ covariance * q).sum(-1) / q.shape[-1]
    return variance.clamp_min(0).sqrt().mean().item()


def patch_attention(q: Tensor, k: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Attention of one query over keys: its logits q·kᵀ / √d, and its weights softmax(τ·q·kᵀ / √d),
    of sum 1 (section 3.3 of the paper); both averaged over heads.

    Args:
        q: the query [heads, d].
        k: keys [heads, tokens, d].
        temperature: τ.

    Returns:
        Two tensors [tokens].
    """
    logits = (k.float() @ q.float()[..., None])[..., 0] / q.shape[-1] ** 0.5
    return logits.mean(0), (temperature * logits).softmax(-1).mean(0)


def layer_grid(tokens: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a layer's tokens, of a latent with this height and width."""
    step = round((height * width / tokens) ** 0.5)
    return height // step, width // step


def patch_token(patch: tuple[float, float], rows: int, columns: int) -> tuple[int, int]:
    """Row and column of the token at a point, given as fractions (x, y) in [0, 1]."""
    x, y = patch
    return min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
