"""Numbers of an analysis, computed from the features of a pair while it is sampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.analysis.formulas import (
    layer_grid,
    logit_deviation,
    patch_attention,
    patch_token,
    principal_components,
)
from styleid_ray.analysis.watch import Injected, Seen
from styleid_ray.engine.schedule import Step

MAPS = 4
"""The most sampling steps with maps."""


@dataclass(frozen=True)
class _AtStep:
    layer: int
    step: int
    """Sampling step, from 1."""
    timestep: int


@dataclass(frozen=True)
class LogitDeviation(_AtStep):
    """Deviation of the attention logits (`formulas.logit_deviation`) of a layer at a step."""

    plain: float
    """Deviation of self-attention in the run without injection."""
    own: float
    """Deviation of Q_cs with K_cs in the run with injection: self-attention of its latent."""
    injected: float
    """Deviation of the injected queries γ·Q_c + (1 − γ)·Q_cs (eq. 6) with K_s, τ = 1."""
    tempered: float
    """`injected` times τ."""


@dataclass(frozen=True)
class QueryMap(_AtStep):
    """Queries of content and result in a layer at a step, along the content's principal
    components."""

    content: Tensor
    """[rows, columns, 3]."""
    result: Tensor
    """[rows, columns, 3], along the same axes."""
    explained: Tensor
    """[3]: share of the variance of the content's queries along each axis."""
    cosine: float
    """Mean over tokens of the cosine between both queries, each minus the content's mean query."""


@dataclass(frozen=True)
class PatchMap(_AtStep):
    """Attention of the content's query at the patch over the style, in a layer at a step."""

    token: tuple[int, int]
    """Row and column of the patch among the content's tokens."""
    grid: tuple[int, int]
    """Rows and columns of the content's tokens."""
    logits: Tensor
    """[rows, columns] of the style: Q_c·K_sᵀ / √d, averaged over heads."""
    attention: Tensor
    """[rows, columns] of the style, of sum 1: softmax of τ · logits, averaged over heads."""


class Record:
    """Numbers of one pair. `full` and `plain` watch its runs with and without injection
    (`watch.Watch`). Maps are kept for at most `MAPS` steps, a few numbers per layer for every step.

    Args:
        steps: number of sampling steps.
        patch: point of the content, fractions (x, y) in [0, 1].
        content, style: height and width of the latents.
    """

    def __init__(
        self,
        steps: int,
        patch: tuple[float, float],
        content: tuple[int, int],
        style: tuple[int, int],
    ) -> None:
        self.queries: list[QueryMap] = []
        self.patches: list[PatchMap] = []
        self._shown = mapped_steps(steps)
        self._middle = (steps + 1) // 2
        self._patch, self._content, self._style = patch, content, style
        self._timesteps: list[int] = []
        self._plain: dict[tuple[int, int], float] = {}
        self._injected: list[tuple[int, int, tuple[float, float, float]]] = []

    @property
    def spreads(self) -> list[LogitDeviation]:
        """Deviations of every layer at every step, step by step; needs both runs."""
        return [
            LogitDeviation(
                layer, 1 + self._timesteps.index(t), t, self._plain[t, layer], *deviations
            )
            for t, layer, deviations in self._injected
        ]

    def plain(self, step: Step, layer: int, seen: Seen) -> None:
        """Takes the features of a layer at a step of the run without injection."""
        self._plain[step.t, layer] = logit_deviation(seen.q_cs, seen.k_cs)

    def full(self, step: Step, layer: int, seen: Seen) -> None:
        """Takes the same of the run with injection; steps come in the order of sampling."""
        injected = seen.injected
        if injected is None:
            return
        if step.t not in self._timesteps:
            self._timesteps.append(step.t)
        at, q = len(self._timesteps), torch.lerp(seen.q_cs, injected.q_c, injected.gamma)
        deviation = logit_deviation(q, injected.k_s)
        own = logit_deviation(seen.q_cs, seen.k_cs)
        deviations = own, deviation, injected.temperature * deviation
        self._injected.append((step.t, layer, deviations))
        if at in self._shown:
            self.queries.append(self._query_map(at, step.t, layer, injected.q_c, seen.q_cs))
        if at == self._middle:
            self.patches.append(self._patch_map(at, step.t, layer, injected))

    def _query_map(self, at: int, t: int, layer: int, q_c: Tensor, q_cs: Tensor) -> QueryMap:
        content, result = (x.transpose(0, 1).flatten(1).cpu() for x in (q_c, q_cs))
        components = principal_components(content)
        grid = layer_grid(len(content), *self._content)
        own, other = (components.project(x).view(*grid, -1).float() for x in (content, result))
        a, b = (x.double() - components.mean for x in (content, result))
        cosine = torch.cosine_similarity(a, b, dim=1).mean().item()
        return QueryMap(layer, at, t, own, other, components.shares, cosine)

    def _patch_map(self, at: int, t: int, layer: int, injected: Injected) -> PatchMap:
        q_c, k_s = injected.q_c, injected.k_s
        grid = layer_grid(q_c.shape[1], *self._content)
        row, column = token = patch_token(self._patch, *grid)
        query = q_c[:, row * grid[1] + column]
        shape = layer_grid(k_s.shape[1], *self._style)
        maps = patch_attention(query, k_s, injected.temperature)
        logits, attention = (x.view(shape).cpu() for x in maps)
        return PatchMap(layer, at, t, token, grid, logits, attention)


def mapped_steps(steps: int) -> Sequence[int]:
    """The sampling steps with maps, counted from 1: first, last and evenly between."""
    count = min(MAPS, steps)
    return sorted({1 + round(i * (steps - 1) / max(1, count - 1)) for i in range(count)})
