"""What the inversion of a picture keeps for injection, three ways of keeping it, and injection.

Of a content the queries are kept, of a style the keys and values, at each injected layer and each
timestep. They stay on the device, lie in host memory, or are computed anew when they are needed,
from the latents that the inversion went through. All three give the same result.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, Protocol

import torch
from torch import Tensor

from styleid_ray.engine.attention import QKV, Attend, attend, attend_in_groups
from styleid_ray.footprint import pinned_size

Store = Literal["device", "host", "recompute"]
Role = Literal["content", "style"]
NAMES: dict[Role, tuple[str, ...]] = {"content": ("q",), "style": ("k", "v")}
"""What is kept of a picture in each role."""

StepFeatures = Mapping[tuple[str, int], Tensor]
"""(name, layer) → [heads, tokens, d], of one picture at one timestep."""

_SCALE = torch.float16


class Kept(Protocol):
    """Features of one picture at all timesteps."""

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        ...

    def record(self, t: int, z: Tensor, features: StepFeatures) -> None:
        """Keep what the UNet computed of the latent z [C, h, w] at timestep t."""
        ...


@dataclass(frozen=True)
class Packed:
    """One picture's features at one timestep in one piece of memory, so that one copy moves them.

    In 8 bits each token of each head has a scale of its own, so `scales` is a second piece.
    """

    values: Tensor
    scales: Tensor | None
    layout: tuple[tuple[tuple[str, int], torch.Size], ...]

    @classmethod
    def pack(cls, features: StepFeatures, dtype: torch.dtype) -> Packed:
        """Features laid one after the other in `dtype`, one of float16/32, bfloat16 and int8."""
        layout = tuple((key, x.shape) for key, x in features.items())
        if dtype != torch.int8:
            return cls(_flat([x.to(dtype) for x in features.values()]), None, layout)
        values, scales = zip(*map(_to_int8, features.values()), strict=True)
        return cls(_flat(values), _flat(scales), layout)

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        parts = [self.values] if self.scales is None else [self.values, self.scales]
        return sum(pinned_size(x.nbytes) if x.is_pinned() else x.nbytes for x in parts)

    def to(self, device: torch.device) -> Packed:
        """The same on another device: asynchronous where CUDA takes part, from and to pinned
        memory."""
        return Packed(
            _move(self.values, device),
            None if self.scales is None else _move(self.scales, device),
            self.layout,
        )

    def unpack(self, dtype: torch.dtype) -> StepFeatures:
        """The features in `dtype`; views of the packed memory where that is their type."""
        sizes = [shape.numel() for _, shape in self.layout]
        parts = self.values.split(sizes)
        if self.scales is not None:
            scales = self.scales.split([shape[:-1].numel() for _, shape in self.layout])
            parts = [
                x.view(-1, shape[-1]).to(dtype) * scale[:, None].to(dtype)
                for x, scale, (_, shape) in zip(parts, scales, self.layout, strict=True)
            ]
        return {
            key: x.to(dtype).view(shape) for x, (key, shape) in zip(parts, self.layout, strict=True)
        }


@dataclass(frozen=True)
class StoredFeatures:
    """Features kept as they are, on `device`, which may be the host."""

    dtype: torch.dtype
    device: torch.device
    steps: dict[int, Packed] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return sum(packed.nbytes for packed in self.steps.values())

    def record(self, t: int, z: Tensor, features: StepFeatures) -> None:
        """Keep the features of timestep t."""
        self.steps[t] = Packed.pack(features, self.dtype).to(self.device)


@dataclass(frozen=True)
class Trajectory:
    """The latents that an inversion went through: the features follow from them."""

    latents: dict[int, Tensor] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return sum(z.nbytes for z in self.latents.values())

    def record(self, t: int, z: Tensor, features: StepFeatures) -> None:
        """Keep the latent of timestep t."""
        self.latents[t] = z.clone()


@dataclass(frozen=True)
class Inversion:
    """One picture inverted: z_T [C, h, w] and what was kept on the way."""

    z_T: Tensor
    kept: Kept
    role: Role

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return self.z_T.nbytes + self.kept.nbytes


def new_kept(store: Store, dtype: torch.dtype, device: torch.device) -> Kept:
    """An empty place for one picture's features."""
    if store == "recompute":
        return Trajectory()
    return StoredFeatures(dtype, device if store == "device" else torch.device("cpu"))


def record(recorded: dict[tuple[str, int], Tensor], contents: slice, styles: slice) -> Attend:
    """Plain attention that keeps Q of the rows in `contents`, K and V of those in `styles`.

    They are the layer's own tensors [rows, heads, tokens, d]: to be copied before the next UNet
    call. A row's place is that among the rows of its role.
    """

    def kept(layer: int, qkv: QKV, scale: float) -> Tensor:
        if contents.stop > contents.start:
            recorded["q", layer] = qkv.q[contents]
        if styles.stop > styles.start:
            recorded["k", layer], recorded["v", layer] = qkv.k[styles], qkv.v[styles]
        return attend(layer, qkv, scale)

    return kept


def row_features(recorded: Mapping[tuple[str, int], Tensor], role: Role, row: int) -> StepFeatures:
    """What was recorded of one picture: the row among those of its role."""
    return {key: x[row] for key, x in recorded.items() if key[0] in NAMES[role]}


@dataclass(frozen=True)
class PairAttention:
    """One pair's part in an injected attention: its pictures' keys and its temperature."""

    content: Hashable
    style: Hashable
    temperature: float


def inject(
    pairs: Sequence[PairAttention], gammas: Tensor, found: Mapping[Hashable, StepFeatures]
) -> Attend:
    """Attention-based style injection (StyleID section 3.2 and 3.3, eq. 4-7).

    Q = γ·Q_c + (1−γ)·Q_cs, K = K_s, V = V_s, softmax(temperature · Q Kᵀ / √d) V, for a batch whose
    row i is the stylised latent of `pairs[i]`, with the features of its pictures at this timestep.
    Pairs of one style should stand together: each run of them is one attention call. `gammas`
    [P, 1, 1, 1] are on the device already: a copy from the host would make it wait in every layer.
    """
    runs = [list(run) for _, run in groupby(pairs, key=lambda pair: (pair.style, pair.temperature))]

    def injected(layer: int, qkv: QKV, scale: float) -> Tensor:
        q_c = torch.stack([found[pair.content]["q", layer] for pair in pairs])
        return attend_in_groups(
            gammas * q_c + (1 - gammas) * qkv.q,
            [found[run[0].style]["k", layer] for run in runs],
            [found[run[0].style]["v", layer] for run in runs],
            [len(run) for run in runs],
            [run[0].temperature * scale for run in runs],
        )

    return injected


def _to_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Values in [-127, 127] and the scale of each last axis."""
    scale = (x.abs().amax(dim=-1, keepdim=True) / 127).to(_SCALE).clamp_min(6e-8)
    return (x / scale.to(x.dtype)).round().clamp(-127, 127).to(torch.int8), scale


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.reshape(-1) for x in parts])


def _move(x: Tensor, device: torch.device) -> Tensor:
    if x.device.type == device.type:
        return x
    if device.type == "cpu":
        host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        return host.copy_(x, non_blocking=True)
    return x.to(device, non_blocking=True)
