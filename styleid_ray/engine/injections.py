"""The injections of each sampling step: features, γ and τ, and the shares of several styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from styleid_ray.controls import Schedule as Control
from styleid_ray.engine.bank import Bank
from styleid_ray.engine.joined import Pair, stacked_shares
from styleid_ray.engine.layout import Layout
from styleid_ray.engine.memory import Inversion
from styleid_ray.engine.regions import at_layer
from styleid_ray.engine.schedule import Schedule
from styleid_ray.engine.styleid import Injection
from styleid_ray.engine.windows import cut, joined_tokens
from styleid_ray.model.windows import Windows


@dataclass(frozen=True)
class Injections:
    """Injections for pairs.

    Args:
        bank: where features of inverted pictures lie.
        schedule: of inversion and sampling.
        layers: that are injected.
        device, dtype: of the UNet.
        windows: of the contents.
    """

    bank: Bank
    schedule: Schedule
    layers: Sequence[int]
    device: torch.device
    dtype: torch.dtype
    windows: Windows

    def __call__(
        self, pairs: Sequence[Pair], kept: Sequence[Sequence[Inversion]]
    ) -> Iterable[Injection]:
        """The pictures' features at one sampling step after the other, with each pair's γ and τ."""
        place = {step.t: i for i, step in enumerate(self.schedule.inversion)}
        steps = [place[step.t] for step in self.schedule.sampling]
        contents, *styles = ([x.slot for x in side if x.slot] for side in zip(*kept, strict=True))
        layouts, dtype = [side[0].layout for side in (contents, *styles)], self.dtype
        controls = zip(
            self._values([pair.gamma for pair in pairs]),
            self._values([pair.temperature for pair in pairs]),
            strict=True,
        )
        shares = self._layer_shares(pairs, layouts[0])
        bias = None
        if shares is None and len(styles) > 1:
            bias = self._bias(pairs, layouts[1:])
        rows = zip(*(self.bank.read(side, steps) for side in (contents, *styles)), strict=True)
        for packed, (gamma, tau) in zip(rows, controls, strict=True):
            content, *features = (
                layout.unpack(x, dtype) for layout, x in zip(layouts, packed, strict=True)
            )
            features = [{key: joined_tokens(y) for key, y in x.items()} for x in features]
            if bias is not None:
                features = [{key: torch.cat([x[key] for x in features], 2) for key in features[0]}]
            yield Injection(content, features, gamma, tau, shares, bias)

    def _values(self, controls: Sequence[Control]) -> Iterator[dict[int, Tensor]]:
        """γ or τ of each pair [B, 1, 1, 1] by layer, at one sampling step after the other."""
        count, layers = len(self.schedule.sampling), self.layers
        distinct = count if any(control.moves for control in controls) else 1
        values = torch.tensor(
            [
                [[control.at(layer, i, count) for control in controls] for layer in layers]
                for i in range(distinct)
            ],
            dtype=self.dtype,
        ).to(self.device)
        # Copies: a compiled UNet takes tensors that begin at any address for others.
        each = [
            {layer: row.clone().view(-1, 1, 1, 1) for layer, row in zip(layers, step, strict=True)}
            for step in values
        ]
        for i in range(count):
            yield each[min(i, distinct - 1)]

    def _layer_shares(self, pairs: Sequence[Pair], layout: Layout) -> dict[int, Tensor] | None:
        """`Injection.shares` of some pairs; None where each has one style."""
        shares = stacked_shares(pairs)
        if shares is None:
            return None
        tokens = {layer: shape[-2] for (_, layer), shape in layout.shapes.items()}
        windows = cut(self.windows, shares)
        at = {count: [at_layer(x, count) for x in windows] for count in set(tokens.values())}
        at = {
            count: (torch.stack(each, 2) if len(each) > 1 else each[0])[..., None, :, None]
            for count, each in at.items()
        }
        return {layer: at[count].to(self.dtype) for layer, count in tokens.items()}

    def _bias(self, pairs: Sequence[Pair], layouts: Sequence[Layout]) -> dict[int, Tensor]:
        """`Injection.bias` of some pairs whose styles lie side by side."""
        logs = torch.tensor([pair.weights for pair in pairs], dtype=torch.float32).log()
        biases = {}
        for layer in self.layers:
            shapes = [layout.shapes["k", layer] for layout in layouts]
            counts = torch.tensor([prod(shape[:-3]) * shape[-2] for shape in shapes])
            each = logs.repeat_interleave(counts, 1)
            biases[layer] = each[:, None, None].to(self.device, self.dtype)
        return biases
