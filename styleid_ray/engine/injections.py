"""The injections of each sampling step: features, γ and τ, and the shares of several styles."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from styleid_ray.controls import Schedule as Control
from styleid_ray.engine.bank import Bank
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.layout import Layout
from styleid_ray.engine.memory import Inversion
from styleid_ray.engine.pairs import Pair, stacked_shares
from styleid_ray.engine.regions import at_layer
from styleid_ray.engine.schedule import Schedule
from styleid_ray.engine.styleid import Injection
from styleid_ray.engine.windows import cut, joined_tokens


def injections(
    bank: Bank,
    denoise: Denoiser,
    schedule: Schedule,
    layers: Sequence[int],
    pairs: Sequence[Pair],
    kept: Sequence[Sequence[Inversion]],
) -> Iterator[Injection]:
    """The injection of each sampling step for a batch of pairs.

    Args:
        bank: holds the features of inverted pictures.
        denoise: the UNet, for its windows, precision and device.
        schedule: of inversion and sampling.
        layers: injected layers.
        pairs: the batch; contents have one shape.
        kept: each pair's inversions, the content's first.
    """
    place = {step.t: i for i, step in enumerate(schedule.inversion)}
    steps = [place[step.t] for step in schedule.sampling]
    sides = [[x.slot for x in side if x.slot] for side in zip(*kept, strict=True)]
    layouts = [side[0].layout for side in sides]
    shares = _layer_shares(pairs, layouts[0], denoise)
    bias = None
    if shares is None and len(sides) > 2:
        bias = _bias(pairs, layouts[1:], layers, denoise)
    count = len(schedule.sampling)
    gammas = _values([pair.gamma for pair in pairs], layers, count, denoise)
    temperatures = _values([pair.temperature for pair in pairs], layers, count, denoise)
    rows = zip(*(bank.read(side, steps) for side in sides), strict=True)
    for packed, gamma, temperature in zip(rows, gammas, temperatures, strict=True):
        content, *styles = (
            layout.unpack(x, denoise.dtype) for layout, x in zip(layouts, packed, strict=True)
        )
        styles = [{key: joined_tokens(x) for key, x in style.items()} for style in styles]
        if bias is not None:
            styles = [{key: torch.cat([x[key] for x in styles], 2) for key in styles[0]}]
        yield Injection(content, styles, gamma, temperature, shares, bias)


def _values(
    controls: Sequence[Control], layers: Sequence[int], count: int, denoise: Denoiser
) -> Iterator[dict[int, Tensor]]:
    """γ or τ of each pair [B, 1, 1, 1] by layer, for each of `count` sampling steps."""
    distinct = count if any(control.moves for control in controls) else 1
    values = torch.tensor(
        [
            [[control.at(layer, i, count) for control in controls] for layer in layers]
            for i in range(distinct)
        ],
        dtype=denoise.dtype,
    ).to(denoise.device)
    # Copies: a compiled UNet is recompiled for tensors whose addresses are aligned differently.
    each = [
        {layer: row.clone().view(-1, 1, 1, 1) for layer, row in zip(layers, step, strict=True)}
        for step in values
    ]
    for i in range(count):
        yield each[min(i, distinct - 1)]


def _layer_shares(
    pairs: Sequence[Pair], layout: Layout, denoise: Denoiser
) -> dict[int, Tensor] | None:
    """`Injection.shares` of pairs; None where each has one style."""
    shares = stacked_shares(pairs)
    if shares is None:
        return None
    tokens = {layer: shape[-2] for (_, layer), shape in layout.shapes.items()}
    windows = cut(denoise.windows(shares.shape), shares)
    at = {count: [at_layer(x, count) for x in windows] for count in set(tokens.values())}
    at = {
        count: (torch.stack(each, 2) if len(each) > 1 else each[0])[..., None, :, None]
        for count, each in at.items()
    }
    return {layer: at[count].to(denoise.dtype) for layer, count in tokens.items()}


def _bias(
    pairs: Sequence[Pair], layouts: Sequence[Layout], layers: Sequence[int], denoise: Denoiser
) -> dict[int, Tensor]:
    """`Injection.bias` of pairs whose styles lie side by side, by the styles' layouts."""
    logs = torch.tensor([pair.weights for pair in pairs], dtype=torch.float32).log()
    biases = {}
    for layer in layers:
        shapes = [layout.shapes["k", layer] for layout in layouts]
        counts = torch.tensor([prod(shape[:-3]) * shape[-2] for shape in shapes])
        each = logs.repeat_interleave(counts, 1)
        biases[layer] = each[:, None, None].to(denoise.device, denoise.dtype)
    return biases
