"""Features watched while a pair is sampled, against the same taken in other ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.analysis.record import MAPS, Record, mapped_steps
from styleid_ray.analysis.watch import Injected, Seen, watched
from styleid_ray.engine.schedule import Step
from tests.analysis.conftest import blocks

PARAMS = StyleParams(steps=6, layers=(5, 8, 10), gamma=0.6, temperature="linear:1.2:2")


class Watching:
    """A pair with content and style of different shapes, watched step by step."""

    def __init__(self, pipe: StyleIDPipeline) -> None:
        self.pipe = pipe
        (self.z_c,), (self.z_s,) = pipe.encode([blocks(0, 128, 64)]), pipe.encode([blocks(1)])
        self.record = Record(5, (0.9, 0.2), (8, 16), (8, 8))
        self.seen: dict[tuple[int, int], Seen] = {}
        self.own: dict[int, list[tuple[Tensor, Tensor]]] = {}
        sites = {layer: site.name for layer, site in pipe.model.sites.items()}
        handles = [self._hook(layer, name) for layer, name in sites.items()]
        before = pipe.unet_evaluations
        with watched(pipe, PARAMS.layers or (), self._watch):
            self.latent = self.transfer()
        self.with_injection = {layer: own[-5:] for layer, own in self.own.items()}
        self.evaluations = pipe.unet_evaluations - before
        with watched(pipe, PARAMS.layers or (), self.record.plain):
            self.without = self.transfer(inject=False)
        self.without_injection = {layer: own[-5:] for layer, own in self.own.items()}
        for handle in handles:
            handle.remove()

    def transfer(self, **changed: Any) -> Tensor:
        params = PARAMS.model_copy(update=changed)
        (latent,) = self.pipe.transfer_latents([self.z_c], [self.z_s], [(0, 0)], params)
        return latent

    def _watch(self, step: Step, layer: int, seen: Seen) -> None:
        self.seen[step.t, layer] = seen
        self.record.full(step, layer, seen)

    def _hook(self, layer: int, path: str) -> Any:
        """Keeps a layer's queries and keys of its input in every UNet call."""
        attn = self.pipe.unet.get_submodule(path)

        def keep(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            hidden = args[0] if args else kwargs["hidden_states"]
            q, k = (
                to(hidden).unflatten(-1, (attn.heads, -1)).transpose(1, 2)[0]
                for to in (attn.to_q, attn.to_k)
            )
            self.own.setdefault(layer, []).append((q, k))

        return attn.register_forward_hook(keep, with_kwargs=True)


def injected_of(seen: Seen) -> Injected:
    assert seen.injected is not None
    return seen.injected


@pytest.fixture(scope="module")
def watching(tiny_pipe: StyleIDPipeline) -> Watching:
    with torch.no_grad():
        return Watching(tiny_pipe)


def test_watching_changes_no_latent_and_no_count(watching: Watching) -> None:
    own = dict(watching.pipe.unet.attn_processors)
    assert torch.equal(watching.latent, watching.transfer())
    assert torch.equal(watching.without, watching.transfer(inject=False))
    assert watching.evaluations == 2 * 6 + 5
    assert dict(watching.pipe.unet.attn_processors) == own


def test_content_queries_and_style_keys_come_from_the_inversions(watching: Watching) -> None:
    content, style = (
        watching.pipe.invert_latents(z[None], PARAMS).features for z in (watching.z_c, watching.z_s)
    )
    assert len(watching.seen) == 5 * 3
    for (t, layer), seen in watching.seen.items():
        injected = injected_of(seen)
        torch.testing.assert_close(injected.q_c, content["q", layer, t][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(injected.k_s, style["k", layer, t][0], rtol=1e-4, atol=1e-5)


def test_the_results_own_queries_and_keys_come_from_the_layers(watching: Watching) -> None:
    timesteps = list(dict.fromkeys(t for t, _ in watching.seen))
    for (t, layer), seen in watching.seen.items():
        q, k = watching.with_injection[layer][timesteps.index(t)]
        torch.testing.assert_close(seen.q_cs, q)
        torch.testing.assert_close(seen.k_cs, k)


def test_the_spread_of_each_step_equals_that_of_logits_computed_by_hand(watching: Watching) -> None:
    assert [spread.step for spread in watching.record.spreads] == sorted([1, 2, 3, 4, 5] * 3)
    for spread in watching.record.spreads:
        seen = watching.seen[spread.timestep, spread.layer]
        injected = injected_of(seen)
        tau = 1.2 + 0.8 * (spread.step - 1) / 4
        q = 0.6 * injected.q_c + 0.4 * seen.q_cs
        for value, queries, keys in (
            (spread.plain, *watching.without_injection[spread.layer][spread.step - 1]),
            (spread.own, seen.q_cs, seen.k_cs),
            (spread.injected, q, injected.k_s),
            (spread.tempered, tau * q, injected.k_s),
        ):
            logits = queries @ keys.transpose(1, 2) / queries.shape[-1] ** 0.5
            by_hand = logits.std(-1, correction=0).mean().item()
            assert value == pytest.approx(by_hand, rel=1e-4)
        assert spread.tempered / spread.injected == pytest.approx(tau, rel=1e-6)


def test_maps_have_the_shape_of_the_picture_and_follow_the_contents_components(
    watching: Watching,
) -> None:
    maps = watching.record.queries
    assert {x.step for x in maps} == {1, 2, 4, 5}
    assert {(x.layer, tuple(x.content.shape)) for x in maps} == {
        (5, (2, 4, 3)),
        (8, (4, 8, 3)),
        (10, (8, 16, 3)),
    }
    for x in maps:
        seen = watching.seen[x.timestep, x.layer]
        content, result = (
            q.transpose(0, 1).flatten(1).double().numpy()
            for q in (injected_of(seen).q_c, seen.q_cs)
        )
        mean = content.mean(0)
        _, s, axes = np.linalg.svd(content - mean, full_matrices=False)
        np.testing.assert_allclose(x.explained, (s**2 / (s**2).sum())[:3], rtol=1e-4)
        for own, queries in ((x.content, content), (x.result, result)):
            expected = np.abs((queries - mean) @ axes[:3].T)
            np.testing.assert_allclose(
                np.abs(own.reshape(-1, 3)), expected, rtol=1e-2, atol=1e-4 * expected.max()
            )


def test_the_patch_is_compared_with_all_keys_of_the_style(watching: Watching) -> None:
    patches = watching.record.patches
    assert [x.layer for x in patches] == [5, 8, 10]
    assert [x.token for x in patches] == [(0, 3), (0, 7), (1, 14)]
    for x in patches:
        injected = injected_of(watching.seen[x.timestep, x.layer])
        row, column = x.token
        query = injected.q_c[:, row * x.grid[1] + column]
        logits = torch.einsum("hd,hnd->hn", query, injected.k_s) / query.shape[-1] ** 0.5
        side = {5: 2, 8: 4, 10: 8}[x.layer]
        torch.testing.assert_close(x.logits, logits.mean(0).view(side, side))
        attention = (injected.temperature * logits).softmax(-1).mean(0).view(side, side)
        torch.testing.assert_close(x.attention, attention)


def test_the_same_query_has_cosine_one(watching: Watching) -> None:
    (t, layer), seen = next(iter(watching.seen.items()))
    same = Seen(injected_of(seen).q_c, seen.k_cs, seen.injected)
    record = Record(1, (0, 0), (8, 16), (8, 8))
    record.full(Step(t, 0.5, 0.6), layer, same)
    (made,) = record.queries
    assert made.cosine == pytest.approx(1)
    assert torch.equal(made.content, made.result)


def test_few_steps_have_maps_in_any_number_of_steps() -> None:
    assert list(mapped_steps(49)) == [1, 17, 33, 49]
    assert list(mapped_steps(2)) == [1, 2]
    assert list(mapped_steps(1)) == [1]
    assert all(len(mapped_steps(n)) <= MAPS for n in range(1, 30))
