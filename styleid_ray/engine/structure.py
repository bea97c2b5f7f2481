"""The share of its content's structure that a stylised picture keeps, by the model's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

SeenStructure = Callable[[Sequence[int], Tensor], None]
"""(pairs, their `kept_structure` [B])."""

POSITIONS = 256
"""Most positions whose features are compared with one another."""


def watched_layer(layers: Sequence[int]) -> int:
    """The injected layer whose queries are compared: the last one, nearest to the picture."""
    return max(layers)


def kept_structure(q_c: Tensor, q_cs: Tensor) -> Tensor:
    """Structure kept [B], float32 in [0, 1]: the correlation of two self-similarities, 0 where it
    is negative.

    Args:
        q_c, q_cs: queries of contents and of their stylised pictures, [B, heads, tokens, d] of one
            layer and timestep.

    The self-similarity of a picture is the cosine similarity of the features at every two of some
    positions (Shechtman & Irani 2007; of network features Kolkin et al. 2019, Tumanyan et al.
    2022). It says which parts of a picture are alike, not what they look like: a change of colour
    or texture everywhere does not change it. Pearson's correlation over the pairs of
    distinct positions compares two of them. It is 0 where only the result's have no variance, as
    those of a flat picture, and NaN where the content's have none or there are less than three
    positions.
    """
    s_c, s_cs = (_standardised(self_similarity(q)) for q in (q_c, q_cs))
    kept = (s_c * s_cs).sum(1).clamp(0, 1)
    return torch.where(s_c.abs().sum(1) > 0, kept, torch.nan)


def self_similarity(q: Tensor) -> Tensor:
    """Cosine similarity [B, P·(P−1)/2], float32, of every two of P ≤ 256 evenly spread positions of
    features [B, heads, tokens, d], all heads together."""
    at = sample(q.shape[2], q.device)
    x = normalize(q[:, :, at].transpose(1, 2).flatten(2).float(), dim=-1)
    first, second = torch.triu_indices(len(at), len(at), 1, device=q.device)
    return (x @ x.transpose(1, 2))[:, first, second]


def sample(tokens: int, device: torch.device | str = "cpu") -> Tensor:
    """Positions [P], int64, spread over a picture of that many tokens: the same in every call.

    One in each of 256 equal parts, at places that steps of the golden ratio choose: a constant
    stride that divides the width of a picture would meet a few of its columns alone.
    """
    if tokens <= POSITIONS:
        return torch.arange(tokens, device=device)
    part = torch.arange(POSITIONS, device=device)
    golden = (5**0.5 - 1) / 2
    return part * tokens // POSITIONS + (part * golden % 1 * (tokens // POSITIONS)).long()


def _standardised(s: Tensor) -> Tensor:
    """Rows of mean 0 and length 1; zeros where all values are equal."""
    s = s - s.mean(1, keepdim=True)
    length = s.norm(dim=1, keepdim=True)
    return torch.where(length > 1e-5 * s.shape[1] ** 0.5, s / length, 0)
