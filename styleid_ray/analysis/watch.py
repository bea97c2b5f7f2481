"""Watches self-attention layers of a pipeline without changing their results."""

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
    """Keys of the style [heads, tokens, d]; its number of tokens may differ from the content's."""
    gamma: float
    temperature: float


@dataclass(frozen=True)
class Seen:
    """Features of the first pair of a batch in one layer and sampling step."""

    q_cs: Tensor
    """Queries of the sampled latent [heads, tokens, d]."""
    k_cs: Tensor
    """Its keys, which self-attention without injection uses."""
    injected: Injected | None
    """None where nothing is injected."""


Watch = Callable[[Step, int, Seen], None]
"""Called with the features of each sampling step, layer by layer."""


@contextmanager
def watched(pipe: StyleIDPipeline, layers: Sequence[int], watch: Watch) -> Iterator[None]:
    """Calls `watch` for these layers in each sampling step of the block, injected or not. Pictures
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
        injected, injection = None, self._injection
        if injection is not None:
            injected = Injected(
                injection.content["q", layer][0],
                injection.styles[0]["k", layer][0],
                injection.gamma[layer][0].item(),
                injection.temperature[layer][0].item(),
            )
        self._watch(self._step, layer, Seen(q, k, injected))


@dataclass
class _WatchedSelfAttention:
    """Wraps a layer's processor: shows its input to `see`, then calls it."""

    layer: int
    own: Any
    see: Callable[[int, Any, Tensor], None]

    def __call__(self, attn: Any, hidden_states: Tensor, **given: Any) -> Tensor:
        self.see(self.layer, attn, hidden_states)
        return self.own(attn, hidden_states, **given)
