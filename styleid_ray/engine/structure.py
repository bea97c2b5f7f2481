"""The share of the content's structure that a stylised picture keeps, by the model's features."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from styleid_ray.quality.pixels import kept

SeenStructure = Callable[[Sequence[int], Tensor], None]
"""(pairs, their `kept_structure` [B])."""

POSITIONS = 256
"""Most positions whose features are compared."""
_LEAST = 1e-5
"""Variations of a self-similarity treated as zero."""


def watched_layer(layers: Sequence[int]) -> int:
    """The injected layer whose queries are compared: the last one, nearest to the picture."""
    return max(layers)


def kept_structure(q_c: Tensor, q_cs: Tensor) -> Tensor:
    """Structure kept [B], float32 in [0, 1]: the correlation of two self-similarities, 0 if
    negative.

    Args:
        q_c, q_cs: queries of contents and of their stylised pictures, [B, heads, tokens, d] of one
            layer and timestep.

    The self-similarity of a picture is the cosine similarity of the features at every two of some
    positions (Shechtman & Irani 2007; for network features Kolkin et al. 2019, Tumanyan et al.
    2022). It describes which parts of a picture are alike, not their appearance: a uniform change
    of colour or texture leaves it as it is. Two self-similarities are compared by Pearson's
    correlation over the pairs of distinct positions. It is 0 if only the result's self-similarity
    has no variance, as in a flat picture, and NaN if the content's has none or there are fewer than
    three positions.
    """
    return kept(self_similarity(q_cs), self_similarity(q_c), _LEAST)


def self_similarity(q: Tensor) -> Tensor:
    """Cosine similarity [B, P·(P−1)/2], float32, of every two of P ≤ 256 evenly spread positions of
    features [B, heads, tokens, d], all heads together."""
    at = sample(q.shape[2], q.device)
    x = normalize(q[:, :, at].transpose(1, 2).flatten(2).float(), dim=-1)
    first, second = torch.triu_indices(len(at), len(at), 1, device=q.device)
    return (x @ x.transpose(1, 2))[:, first, second]


def sample(tokens: int, device: torch.device | str = "cpu") -> Tensor:
    """Positions [P], int64, spread over a picture of `tokens` tokens: the same in every call.

    Each of 256 equal parts has one, placed by steps of the golden ratio: a constant stride that
    divides the width of a picture would meet only a few of its columns.
    """
    if tokens <= POSITIONS:
        return torch.arange(tokens, device=device)
    part = torch.arange(POSITIONS, device=device)
    golden = (5**0.5 - 1) / 2
    return part * tokens // POSITIONS + (part * golden % 1 * (tokens // POSITIONS)).long()
