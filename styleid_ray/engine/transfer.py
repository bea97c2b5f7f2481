"""One call's pairs, from clean latents to clean latents: the order of work, done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine import cuda
from styleid_ray.engine.bank import Slot
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.initial import initial_latents
from styleid_ray.engine.injections import Injections
from styleid_ray.engine.joined import Pair, Picture
from styleid_ray.engine.layout import Layout, Role
from styleid_ray.engine.memory import Inversion, Memory
from styleid_ray.engine.schedule import Schedule, Step
from styleid_ray.engine.structure import SeenStructure, kept_structure, watched_layer
from styleid_ray.engine.styleid import (
    Features,
    Injection,
    Protection,
    invert,
    stylise,
)
from styleid_ray.engine.windows import joined_tokens
from styleid_ray.engine.work_order import Evict, Invert, Sample, Size, work_order
from styleid_ray.model.windows import Windows

SeenStep = Callable[[Sequence[int], Step, Tensor, Tensor], None]
"""(pairs, step, their latents after it, the z_0 that it predicted)."""
Finished = Callable[[Sequence[int], Tensor], None]
"""(pairs, their clean latents z_0)."""
ROLES: tuple[Role, ...] = ("content", "style")


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
        structure: gets, before that, the share of their contents' structure that these latents
            keep. Not called without injection, which measures it.
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
    structure: SeenStructure | None = None
    inversions: int = 0
    latents: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pictures = {picture.key: picture for pair in self.pairs for picture in pair.pictures}

    def run(self) -> list[Tensor]:
        """Clean latents, one per pair."""
        memory = self.memory
        layers = self.params.layers if self.params.inject else ()
        watched = watched_layer(layers) if self.structure and layers else None
        try:
            with self.denoise.tapped(layers, watched):
                while len(self.latents) < len(self.pairs):
                    self._work()
        finally:
            memory.wanted = memory.in_use = ()
        return [self.latents[row] for row in range(len(self.pairs))]

    def _work(self) -> None:
        """The pairs that are not done yet, or a part of them if memory runs out: then the order of
        work is planned again."""
        memory = self.memory
        rows = [row for row in range(len(self.pairs)) if row not in self.latents]
        order = work_order(
            [tuple(x.key for x in self.pairs[row].pictures) for row in rows],
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
        # Paths lie where features do: their bytes count against that place.
        place = z_0.device if bank.place == "device" else torch.device("cpu")
        shape = len(steps), *z_0.shape[1:]
        paths = {at: z_0.new_empty(shape, device=place) for at, x in enumerate(batch) if x.path}

        def passed(i: int, z: Tensor) -> None:
            for at, path in paths.items():
                path[i] = z[at]

        keeping = keep if self.params.inject else None
        try:
            z_T = invert(self.denoise, z_0, steps, keeping, passed if paths else None)
            finite = cuda.finite_rows(z_T)
        except BaseException:
            for slot in slots["content"] + slots["style"]:
                bank.give_back(slot)
            raise
        kept = slots["content"] + slots["style"] or [None] * len(batch)
        for at, (z, slot, good) in enumerate(zip(z_T, kept, finite, strict=True)):
            self.memory.keep(batch[at].key, Inversion(z.clone(), slot, good, paths.get(at)))
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
        pairs, steps = [self.pairs[row] for row in rows], self.schedule.sampling
        protect = self._protection(pairs, kept)
        z = initial_latents(pairs, kept, self.params, protect)
        fill = self.denoise.rows(z) - len(pairs)
        pairs, kept = [*pairs, *[pairs[-1]] * fill], [*kept, *[kept[-1]] * fill]
        windows = self.denoise.windows(z.shape)
        injected = self._injections(windows)(pairs, kept) if self.params.inject else None
        injections = injected or [None] * len(steps)
        latest: list[Injection | None] = [None]
        seen = partial(self.seen, rows) if self.seen else None
        z, z_0 = stylise(self.denoise, z, steps, _kept(injections, latest), seen, protect)
        self._tell_structure(rows, latest[0])
        return z_0 if self.schedule.returns_z0 else z

    def _tell_structure(self, rows: Sequence[int], injection: Injection | None) -> None:
        """Compares the content's queries with the stylised picture's own, in the last step."""
        q_cs = self.denoise.queries
        if self.structure is None or injection is None or q_cs is None:
            return
        q_c = joined_tokens(injection.content["q", watched_layer(self.params.layers)])
        self.structure(rows, kept_structure(q_c[: len(rows)], q_cs[: len(rows)]))

    def _protection(
        self, pairs: Sequence[Pair], kept: Sequence[Sequence[Inversion]]
    ) -> Protection | None:
        strengths = [pair.strength for pair in pairs if pair.strength is not None]
        if not strengths:
            return None
        paths, places = [content.path for content, *_ in kept], self.schedule.path
        strength = torch.stack(strengths)[:, None]

        def path(i: int) -> Tensor:
            latents = [path[places[i]] for path in paths if path is not None]
            return torch.stack(latents).to(strength.device)

        return Protection(strength, path)

    def _injections(self, windows: Windows) -> Injections:
        return Injections(
            self.memory.bank,
            self.schedule,
            self.params.layers,
            self.denoise.device,
            self.denoise.dtype,
            windows,
        )


def _kept(
    injections: Iterable[Injection | None], latest: list[Injection | None]
) -> Iterator[Injection | None]:
    """The injections; `latest` holds the current one."""
    for latest[0] in injections:
        yield latest[0]
