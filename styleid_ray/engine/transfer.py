"""One call's pairs, from clean latents to clean latents: the order of work, done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine import cuda
from styleid_ray.engine.bank import Slot
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.layout import Layout, Role
from styleid_ray.engine.memory import Inversion, Memory
from styleid_ray.engine.schedule import Schedule, Step
from styleid_ray.engine.styleid import Features, Injection, invert, stylise
from styleid_ray.engine.work_order import Evict, Invert, Sample, Size, work_order

SeenStep = Callable[[Sequence[int], Step, Tensor, Tensor], None]
"""(pairs, step, their latents after it, the z_0 that it predicted)."""
Finished = Callable[[Sequence[int], Tensor], None]
"""(pairs, their clean latents z_0)."""
ADAIN_FLOOR = {"paper": 0.0, "diffusers": 1e-4}
"""Number that each preset adds to the content's standard deviation."""
ROLES: tuple[Role, ...] = ("content", "style")


@dataclass(frozen=True)
class Picture:
    """A clean latent z_0 [C, h, w] in a role; equal keys mean equal inversions."""

    key: Hashable
    z_0: Tensor
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


@dataclass
class Transfer:
    """Pairs of one call.

    Args:
        denoise: the UNet.
        memory: inversions of earlier calls, and room for more.
        schedule: of inversion and sampling.
        params: of all pairs, but for gamma and temperature.
        pairs: what to stylise.
        sizes: of the inversion of each picture, by its key.
        dtype: of kept features.
        seen: sees each step of each batch.
        finished: gets the latents of each batch as soon as it is done.
        inversions: made so far.
        latents: of the pairs that are done.
    """

    denoise: Denoiser
    memory: Memory
    schedule: Schedule
    params: ResolvedParams
    pairs: Sequence[Pair]
    sizes: dict[Hashable, Size]
    dtype: torch.dtype
    seen: SeenStep | None = None
    finished: Finished | None = None
    inversions: int = 0
    latents: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pictures = {picture.key: picture for pair in self.pairs for picture in pair.pictures}

    def run(self) -> list[Tensor]:
        """Clean latents, one per pair."""
        memory = self.memory
        try:
            with self.denoise.tapped(self.params.layers if self.params.inject else ()):
                while len(self.latents) < len(self.pairs):
                    self._work()
        finally:
            memory.wanted = memory.in_use = ()
        return [self.latents[row] for row in range(len(self.pairs))]

    def _work(self) -> None:
        """The pairs that are not done yet, or a part of them if memory runs out: then the order of
        work is made anew."""
        memory = self.memory
        rows = [row for row in range(len(self.pairs)) if row not in self.latents]
        keys = [tuple(x.key for x in self.pairs[row].pictures) for row in rows]
        order = work_order(
            [(content, style[0] if style else None) for content, *style in keys],
            {key: Size((), x.nbytes) for key, x in memory.kept.items()} | self.sizes,
            memory.capacity,
            memory.most,
            memory.kept,
        )
        shortages = memory.shortages
        for op in order:
            memory.wanted = self._keys(row for row in rows if row not in self.latents)
            match op:
                case Evict(key):
                    memory.evict(key)
                    continue
                case Invert(keys):
                    memory.in_use, batch = set(keys), [self.pictures[key] for key in keys]
                    fits = memory.fits(partial(self._invert, batch))
                case Sample(places):
                    pairs = [rows[place] for place in places]
                    memory.in_use = self._keys(pairs)
                    batch = [self.pairs[row].content for row in pairs]
                    fits = memory.fits(partial(self._sample, pairs))
            if not fits:
                memory.give_way(len(batch), batch[0].z_0.shape, "unet")
            if memory.shortages > shortages:
                return

    def _keys(self, rows: Iterable[int]) -> set[Hashable]:
        """Pictures of some pairs."""
        return {x.key for row in rows for x in self.pairs[row].pictures}

    def _invert(self, pictures: Sequence[Picture]) -> None:
        """Invert pictures of one shape in one batch, and keep their features. A latent that is not
        finite is not worth an evaluation."""
        z_0 = torch.stack([x.z_0 for x in pictures])
        for picture, good in zip(pictures, cuda.finite_rows(z_0), strict=True):
            if not good:
                self.memory.keep(picture.key, Inversion(picture.z_0, None, finite=False))
        batch = [x for role in ROLES for x in pictures if x.role == role]
        batch = [x for x in batch if x.key not in self.memory.kept]
        if not batch:
            return
        contents = sum(x.role == "content" for x in batch)
        rows: dict[Role, slice] = {
            "content": slice(0, contents),
            "style": slice(contents, len(batch)),
        }
        bank, steps = self.memory.bank, self.schedule.inversion
        slots: dict[Role, list[Slot]] = {"content": [], "style": []}

        def keep(i: int, features: Features) -> None:
            for role in ROLES:
                if not batch[rows[role]]:
                    continue
                layout = Layout.of(features, role, self.dtype)
                if i == 0:
                    for _ in batch[rows[role]]:
                        slots[role].append(bank.take(len(steps), layout))
                bank.write(slots[role], i, layout.pack(features, rows[role]))

        z_0 = torch.stack([x.z_0 for x in batch])
        try:
            z_T = invert(self.denoise, z_0, steps, keep if self.params.inject else None)
            finite = cuda.finite_rows(z_T)
        except BaseException:
            for slot in slots["content"] + slots["style"]:
                bank.give_back(slot)
            raise
        kept = slots["content"] + slots["style"] or [None] * len(batch)
        for picture, z, slot, good in zip(batch, z_T, kept, finite, strict=True):
            self.memory.keep(picture.key, Inversion(z.clone(), slot, good))
        self.inversions += len(batch)

    def _sample(self, rows: Sequence[int]) -> None:
        """Sample one batch of pairs."""
        latents = self._stylised(rows)
        self.memory.in_use = ()  # whatever takes the latents may need the memory
        if self.finished:
            self.finished(rows, torch.stack([latents[row] for row in rows]))
        self.latents |= latents

    def _stylised(self, rows: Sequence[int]) -> dict[int, Tensor]:
        """Latents of pairs; those of an inversion that is not finite are not, either."""
        kept = {row: [self.memory.use(x.key) for x in self.pairs[row].pictures] for row in rows}
        good = [row for row in rows if all(x.finite for x in kept[row])]
        lost = [row for row in rows if row not in good]
        latents = {row: torch.full_like(kept[row][0].z_T, torch.nan) for row in lost}
        if good:
            latents |= dict(
                zip(good, self._stylise(good, [kept[row] for row in good]), strict=True)
            )
        return latents

    def _stylise(self, rows: Sequence[int], kept: Sequence[Sequence[Inversion]]) -> Tensor:
        pairs = [self.pairs[row] for row in rows]
        z_c = torch.stack([content.z_T for content, *_ in kept])
        joins = pairs[0].style and self.params.adain
        z_s = torch.stack([style.z_T for _, style in kept]) if joins else None
        fill = self.denoise.rows(z_c) - len(pairs)
        pairs, kept = [*pairs, *[pairs[-1]] * fill], [*kept, *[kept[-1]] * fill]
        steps = self.schedule.sampling
        injections = self._injections(pairs, kept) if self.params.inject else [None] * len(steps)
        seen = partial(self.seen, rows) if self.seen else None
        floor = ADAIN_FLOOR[self.params.preset]
        z, z_0 = stylise(self.denoise, z_c, z_s, steps, injections, seen, floor)
        return z_0 if self.schedule.returns_z0 else z

    def _injections(
        self, pairs: Sequence[Pair], kept: Sequence[Sequence[Inversion]]
    ) -> Iterable[Injection]:
        """The pictures' features at one sampling step after the other, with each pair's γ and τ."""
        place = {step.t: i for i, step in enumerate(self.schedule.inversion)}
        steps = [place[step.t] for step in self.schedule.sampling]
        contents, styles = ([x.slot for x in side if x.slot] for side in zip(*kept, strict=True))
        options = {"dtype": self.denoise.dtype, "device": self.denoise.null_embedding.device}
        gamma = torch.tensor([pair.gamma for pair in pairs], **options).view(-1, 1, 1, 1)
        tau = torch.tensor([pair.temperature for pair in pairs], **options).view(-1, 1, 1, 1)
        read = self.memory.bank.read
        for content, style in zip(read(contents, steps), read(styles, steps), strict=True):
            yield Injection(
                contents[0].layout.unpack(content, self.denoise.dtype),
                styles[0].layout.unpack(style, self.denoise.dtype),
                gamma,
                tau,
            )
