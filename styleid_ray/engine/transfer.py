"""One call's pairs, from clean latents to clean latents: invert what is missing, inject, sample."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine import ddim
from styleid_ray.engine.adain import ADAIN_EPS, adain
from styleid_ray.engine.attention import tapped
from styleid_ray.engine.batching import MicroBatch
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.features import (
    Inversion,
    PairAttention,
    Role,
    StepFeatures,
    inject,
    new_kept,
    record,
    row_features,
)
from styleid_ray.engine.feed import Feed
from styleid_ray.engine.inversions import InversionCache
from styleid_ray.engine.memory import Choice, features_nbytes
from styleid_ray.engine.schedule import Schedule, Step

SeenStep = Callable[[Sequence[int], Step, Tensor, Tensor], None]
"""(pairs, step, their latents after it, the z_0 that it predicted)."""
Finished = Callable[[Sequence[int], Tensor], None]
"""(pairs, their clean latents z_0)."""


@dataclass(frozen=True)
class Picture:
    """A clean latent z_0 [C, h, w] in a role; equal keys mean equal inversions."""

    key: Hashable
    z0: Tensor
    role: Role


@dataclass(frozen=True)
class Pair:
    """Two pictures and how to join them. Without a style the content is sampled as it is."""

    content: Picture
    style: Picture | None
    gamma: float
    temperature: float

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Those that have to be inverted."""
        return (self.content, self.style) if self.style else (self.content,)


class Transfer:
    """Works through pairs in an order in which few inversions are needed at the same time.

    Inversions are made when they are first needed, several together, and let go when room is needed
    for others: what comes up again latest goes first.

    Args:
        denoise: the UNet.
        schedule: of inversion and sampling.
        params: of all pairs, but for gamma and temperature.
        cache: where inversions are kept, during the call and after it.
        batch: how many latents go through the UNet at once.
        choice: where features are kept.
        dtype: of kept features.
    """

    def __init__(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        params: ResolvedParams,
        cache: InversionCache,
        batch: MicroBatch,
        choice: Choice,
        dtype: torch.dtype,
    ) -> None:
        self.denoise, self.schedule, self.params = denoise, schedule, params
        self.cache, self.batch, self.choice, self.dtype = cache, batch, choice, dtype
        self.device = denoise.null_embedding.device
        self.inversions = 0
        self._order: list[Pair] = []
        self._uses: dict[Hashable, list[int]] = {}
        self._at = 0

    def run(
        self,
        pairs: Sequence[Pair],
        seen: SeenStep | None = None,
        finished: Finished | None = None,
    ) -> list[Tensor]:
        """Clean latents z_0, one per pair; `finished` gets those of each batch when it is done."""
        groups: dict[torch.Size, list[int]] = defaultdict(list)
        for row in self._sorted(pairs):
            groups[pairs[row].content.z0.shape].append(row)
        order = [row for rows in groups.values() for row in rows]
        self._order = [pairs[row] for row in order]
        self._uses = defaultdict(list)
        for at, pair in enumerate(self._order):
            for picture in pair.pictures:
                self._uses[picture.key].append(at)
        out: dict[int, Tensor] = {}
        place = {row: at for at, row in enumerate(order)}

        def work(rows: list[int]) -> None:
            self._at = place[rows[0]]
            # Runs of one style share an attention call.
            rows = sorted(rows, key=lambda row: self._style_order(pairs[row]))
            part = [pairs[row] for row in rows]
            self._invert_missing(part)
            z0 = self._sample(part, partial(seen, rows) if seen else None)
            out.update(zip(rows, z0, strict=True))
            if finished:
                finished(rows, z0)

        for shape, rows in groups.items():
            self.batch.run(rows, shape, work, self._make_room)
        return [out[row] for row in range(len(pairs))]

    def nbytes(self, picture: Picture) -> int:
        """Memory that the picture's inversion takes."""
        z = picture.z0.numel() * 4
        if not self.params.inject:
            return z
        if self.choice.store == "recompute":
            return z * (1 + self.params.steps)
        config: Any = self.denoise.unet.config
        return z + features_nbytes(
            config,
            picture.z0.shape,
            self.params,
            picture.role,
            self.dtype,
            pinned=self.choice.store == "host" and self.device.type == "cuda",
        )

    def _sorted(self, pairs: Sequence[Pair]) -> list[int]:
        """Rows in the order of work: the smaller side stays, the other one passes by."""
        sides: dict[Role, dict[Hashable, int]] = {"content": {}, "style": {}}
        for pair in pairs:
            for picture in pair.pictures:
                sides[picture.role].setdefault(picture.key, self.nbytes(picture))
        contents, styles = (list(sides[role]) for role in ("content", "style"))
        at = {key: i for keys in (contents, styles) for i, key in enumerate(keys)}
        if self.choice.store == "recompute":
            # Near squares: a batch of many pairs needs few pictures at each step.
            tile = max(1, math.isqrt(self.batch.most(pairs[0].content.z0.shape)))
        elif sum(sides["content"].values()) <= sum(sides["style"].values()):
            tile = len(contents)
        else:
            tile = 1

        def key(row: int) -> tuple[int, ...]:
            pair = pairs[row]
            content, style = at[pair.content.key], at[pair.style.key] if pair.style else 0
            return content // tile, style // tile if tile < len(contents) else 0, style, content

        return sorted(range(len(pairs)), key=key)

    @staticmethod
    def _style_order(pair: Pair) -> tuple[str, float]:
        return str(pair.style.key) if pair.style else "", pair.temperature

    def _next_use(self, key: Hashable) -> float:
        uses = self._uses.get(key, [])
        at = bisect_left(uses, self._at)
        return uses[at] if at < len(uses) else float("inf")

    def _invert_missing(self, part: Sequence[Pair]) -> None:
        """Invert the pictures of these pairs that are not in the cache, and some of the next."""
        needed = {picture.key: picture for pair in part for picture in pair.pictures}
        while missing := [x for key, x in needed.items() if key not in self.cache]:
            together = self._together(missing, needed)
            size = sum(map(self.nbytes, together))
            keep = needed.keys() | {picture.key for picture in together}
            self.cache.make_room(size, keep, self._next_use)
            for picture, inversion in zip(together, self._invert(together), strict=True):
                self.cache.put(picture.key, inversion)

    def _together(
        self, missing: Sequence[Picture], needed: Mapping[Hashable, Picture]
    ) -> list[Picture]:
        """Pictures of one shape for one batch: the first that is missing, and more that come up.

        Those not needed yet come along only where they push nothing out that is needed sooner.
        """
        shape = missing[0].z0.shape
        most = self.batch.most(shape)
        found = {x.key: x for x in missing if x.z0.shape == shape}
        found = dict(list(found.items())[:most])
        size = sum(map(self.nbytes, found.values()))
        for at in range(self._at, len(self._order)):
            if len(found) >= most:
                break
            for picture in self._order[at].pictures:
                if picture.key in self.cache or picture.key in found or picture.z0.shape != shape:
                    continue
                sooner = sum(
                    inversion.nbytes
                    for key, inversion in self.cache.entries.items()
                    if key in needed or self._next_use(key) <= at
                )
                if sooner + size + self.nbytes(picture) > self.cache.capacity:
                    return list(found.values())
                if len(found) < most:
                    found[picture.key] = picture
                    size += self.nbytes(picture)
        return list(found.values())

    def _invert(self, pictures: Sequence[Picture]) -> list[Inversion]:
        """Inversions of pictures of one shape, in one batch."""
        roles: tuple[Role, ...] = ("content", "style")
        batch = [x for role in roles for x in pictures if x.role == role]
        contents = sum(x.role == "content" for x in batch)
        z0 = torch.stack([x.z0.to(self.device, torch.float32) for x in batch])
        kept = [new_kept(self.choice.store, self.dtype, self.device) for _ in batch]
        self.inversions += len(batch)
        if self.params.inject:
            z_T = self._record(z0, contents, kept, batch)
        else:
            z_T = ddim.invert(self.denoise, z0, self.schedule.inversion)
        made = {
            x.key: Inversion(z.clone(), k, x.role) for x, z, k in zip(batch, z_T, kept, strict=True)
        }
        return [made[picture.key] for picture in pictures]

    def _record(
        self, z0: Tensor, contents: int, kept: Sequence[Any], batch: Sequence[Picture]
    ) -> Tensor:
        with tapped(self.denoise.unet, self.params.layers) as tap:

            def recording(z: Tensor, t: int, a: float) -> Tensor:
                recorded: dict[tuple[str, int], Tensor] = {}
                tap.attend = record(recorded, slice(0, contents), slice(contents, len(z)))
                eps = self.denoise(z, t, a)
                for row, (picture, place) in enumerate(zip(batch, kept, strict=True)):
                    among = row if picture.role == "content" else row - contents
                    place.record(t, z[row], row_features(recorded, picture.role, among))
                return eps

            return ddim.invert(recording, z0, self.schedule.inversion)

    def _sample(self, pairs: Sequence[Pair], seen: ddim.Callback | None) -> Tensor:
        """One batch of pairs sampled from their initial latents, with injection."""
        inversions = {
            picture.key: self.cache.use(picture.key) for pair in pairs for picture in pair.pictures
        }
        z_T = torch.stack([self._start(pair, inversions) for pair in pairs])
        steps, returns_z0 = self.schedule.sampling, self.schedule.returns_z0
        if not self.params.inject:
            return ddim.sample(self.denoise, z_T, steps, returns_z0, seen)
        rows = [
            PairAttention(pair.content.key, (pair.style or pair.content).key, pair.temperature)
            for pair in pairs
        ]
        gammas = torch.tensor(
            [pair.gamma for pair in pairs], dtype=self.denoise.dtype, device=self.device
        ).view(-1, 1, 1, 1)
        with tapped(self.denoise.unet, self.params.layers) as tap:
            recall = partial(self._recall, tap, [x.role for x in inversions.values()])
            feed = Feed(
                inversions, [step.t for step in steps], recall, self.device, self.denoise.dtype
            )

            def injecting(z: Tensor, t: int, a: float) -> Tensor:
                found = feed.at(t)
                tap.attend = inject(rows, gammas, found)
                return self.denoise(z, t, a)

            return ddim.sample(injecting, z_T, steps, returns_z0, seen)

    def _start(self, pair: Pair, inversions: Mapping[Hashable, Inversion]) -> Tensor:
        z = inversions[pair.content.key].z_T
        if pair.style is None or not self.params.adain:
            return z
        style = inversions[pair.style.key].z_T
        return adain(z[None], style[None], ADAIN_EPS[self.params.preset])[0]

    def _recall(
        self, tap: Any, roles: Sequence[Role], latents: Sequence[Tensor], t: int
    ) -> list[StepFeatures]:
        """What the UNet computes of the latents at timestep t, in their roles."""
        found: dict[int, StepFeatures] = {}
        rows = sorted(range(len(latents)), key=lambda row: (latents[row].shape, roles[row]))
        while rows:
            shape = latents[rows[0]].shape
            same = [row for row in rows if latents[row].shape == shape]
            part = same[: self.batch.most(shape)]
            contents = sum(roles[row] == "content" for row in part)
            recorded: dict[tuple[str, int], Tensor] = {}
            tap.attend = record(recorded, slice(0, contents), slice(contents, len(part)))
            self.denoise(torch.stack([latents[row] for row in part]), t, 1.0)
            for place, row in enumerate(part):
                among = place if roles[row] == "content" else place - contents
                found[row] = row_features(recorded, roles[row], among)
            rows = [row for row in rows if row not in part]
        return [found[row] for row in range(len(latents))]

    def _make_room(self) -> bool:
        """Nothing but latents is kept from here on, where that was not so yet."""
        if self.choice.store == "recompute" or not self.params.inject:
            return False
        self.choice = Choice("recompute", self.choice.capacity, "the device ran out of memory")
        self.cache.clear()
        return True
