"""What inversion keeps of a picture, and how it is injected into the stylised one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from styleid_ray.engine.attention import QKV, Attend, attend, attend_in_groups


@dataclass
class Features:
    """Q, K, V of pictures of one shape, by (layer, timestep): each [pictures, heads, tokens, d].

    Which of the three are kept is up to `record`: a content needs its queries, a style its keys and
    values.
    """

    q: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    k: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    v: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that the features take."""
        return sum(x.nbytes for kept in (self.q, self.k, self.v) for x in kept.values())

    @staticmethod
    def cat(parts: Sequence[Features]) -> Features:
        """The features of several batches of pictures as those of one."""
        if len(parts) == 1:
            return parts[0]
        merged = Features()
        for name in ("q", "k", "v"):
            stores = [getattr(part, name) for part in parts]
            getattr(merged, name).update(
                {key: torch.cat([s.pop(key) for s in stores]) for key in list(stores[0])}
            )
        return merged


@dataclass(frozen=True)
class PairAttention:
    """One pair's part in an injected attention: rows of the content's and style's features.

    `content` and `style` are (features, row). `gamma` in [0, 1], `temperature` above 0.
    """

    content: tuple[Features, int]
    style: tuple[Features, int]
    gamma: float
    temperature: float


def record(features: Features, t: int, contents: slice, styles: slice) -> Attend:
    """Plain attention that keeps Q of the rows in `contents`, K and V of those in `styles`."""

    def kept(layer: int, qkv: QKV, scale: float) -> Tensor:
        if contents.stop > contents.start:
            features.q[layer, t] = qkv.q[contents].clone()
        if styles.stop > styles.start:
            features.k[layer, t] = qkv.k[styles].clone()
            features.v[layer, t] = qkv.v[styles].clone()
        return attend(layer, qkv, scale)

    return kept


def inject(pairs: Sequence[PairAttention], t: int) -> Attend:
    """Attention-based style injection (StyleID section 3.2 and 3.3, eq. 4-7).

    Q = γ·Q_c + (1−γ)·Q_cs, K = K_s, V = V_s, softmax(temperature · Q Kᵀ / √d) V, for a batch whose
    row i is the stylised latent of `pairs[i]`. Pairs of one style should stand together: each run
    of them is one attention call.
    """
    runs = [list(run) for _, run in groupby(pairs, key=_shared)]
    styles = [run[0].style for run in runs]
    kept = next(iter(pairs[0].content[0].q.values()))
    gamma = torch.tensor([pair.gamma for pair in pairs], dtype=kept.dtype, device=kept.device)
    gamma = gamma.view(-1, 1, 1, 1)

    def injected(layer: int, qkv: QKV, scale: float) -> Tensor:
        key = layer, t
        q_c = torch.stack([features.q[key][row] for features, row in (p.content for p in pairs)])
        return attend_in_groups(
            gamma * q_c + (1 - gamma) * qkv.q,
            [features.k[key][row] for features, row in styles],
            [features.v[key][row] for features, row in styles],
            [len(run) for run in runs],
            [run[0].temperature * scale for run in runs],
        )

    return injected


def _shared(pair: PairAttention) -> tuple[int, int, float]:
    features, row = pair.style
    return id(features), row, pair.temperature
