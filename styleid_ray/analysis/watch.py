"""Watching self-attention layers of a pipeline without changing what they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from styleid_ray.engine.attention import as_tokens, replaced, split_heads
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.pipeline import StyleIDPipeline
from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import Features, Injection


@dataclass(frozen=True)
class Injected:
    """Features that a pair's injection brings to a layer, in the paper's symbols."""

    q_c: Tensor
    """Queries of the content [heads, tokens, d]."""
    k_s: Tensor
    """Keys of the style [heads, tokens, d]; the number of tokens may be its own."""
    gamma: float
    temperature: float


@dataclass(frozen=True)
class Seen:
    """Features of the first pair of a batch in one layer and sampling step."""

    q_cs: Tensor
    """Queries of the latent that is sampled [heads, tokens, d]."""
    k_cs: Tensor
    """Its keys, which self-attention without injection uses."""
    injected: Injected | None
    """None where nothing is injected."""


Watch = Callable[[Step, int, Seen], None]
"""Gets each sampling step's features, one layer after the other; it keeps what it needs."""


@contextmanager
def watched(pipe: StyleIDPipeline, layers: Sequence[int], watch: Watch) -> Iterator[None]:
    """Inside the block `watch` sees these layers in each sampling step, injected or not. Pictures
    and the count of UNet evaluations stay the same; each layer computes its queries and keys once
    more for the first pair. The UNet must not be compiled."""
    own = pipe.denoise
    pipe.denoise = watching = _WatchedDenoiser(own, layers, watch)
    try:
        yield
    finally:
        own.evaluations = watching.evaluations
        pipe.denoise = own


class _WatchedDenoiser(Denoiser):
    def __init__(self, own: Denoiser, layers: Sequence[int], watch: Watch) -> None:
        super().__init__(own.unet, own.condition, own.fill, own.window)
        self.evaluations = own.evaluations
        self._layers, self._watch = layers, watch
        self._step: Step | None = None

    @contextmanager
    def tapped(self, layers: Sequence[int], watched: int | None = None) -> Iterator[None]:
        with super().tapped(layers, watched):
            watching: dict[str, Any] = {}
            for layer in self._layers:
                name = self.condition.model.sites[layer].name
                own = self.unet.get_submodule(name).processor
                watching[name] = _WatchedSelfAttention(layer, own, self._see)
            with replaced(self.unet, watching):
                yield

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        # Sampling removes noise: ᾱ grows, while inversion lets it fall.
        self._step, self._injection = (step if step.b > step.a else None), injection
        return super().__call__(z, step, injection)

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, Features]:
        self._step = None
        return super().record(z, step)

    def _see(self, layer: int, attn: Any, hidden_states: Tensor) -> None:
        if self._step is None:
            return
        x = as_tokens(attn, hidden_states[:1])
        q, k = (split_heads(to(x), attn.heads)[0] for to in (attn.to_q, attn.to_k))
        injected = None if self._injection is None else _injected(layer, self._injection)
        self._watch(self._step, layer, Seen(q, k, injected))


@dataclass
class _WatchedSelfAttention:
    """Stands in for a layer's processor, shows what it is given, and leaves the work to it."""

    layer: int
    own: Any
    see: Callable[[int, Any, Tensor], None]

    def __call__(self, attn: Any, hidden_states: Tensor, **given: Any) -> Tensor:
        self.see(self.layer, attn, hidden_states)
        return self.own(attn, hidden_states, **given)


def _injected(layer: int, injection: Injection) -> Injected:
    return Injected(
        injection.content["q", layer][0],
        injection.styles[0]["k", layer][0],
        injection.gamma[layer][0].item(),
        injection.temperature[layer][0].item(),
    )
