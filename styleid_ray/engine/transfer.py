"""One call's pairs, from clean latents to clean latents: the order of work, done."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.initial import initial_latents
from styleid_ray.engine.injections import injections
from styleid_ray.engine.inversion import invert_into
from styleid_ray.engine.layout import Role
from styleid_ray.engine.memory import Inversion, Memory
from styleid_ray.engine.pairs import Pair, Picture
from styleid_ray.engine.schedule import Schedule
from styleid_ray.engine.structure import SeenStructure, kept_structure, watched_layer
from styleid_ray.engine.styleid import Injection, Protection, stylise
from styleid_ray.engine.work_order import Evict, Invert, Sample, Size, work_order
from styleid_ray.model.footprint import picture_memory

Finished = Callable[[Sequence[int], Tensor], None]
"""(pairs, their clean latents z_0)."""


@dataclass
class Transfer:
    """Pairs of one call.

    Args:
        denoise: the UNet.
        memory: inversions of earlier calls, and room for more.
        schedule: of inversion and sampling.
        params: of all pairs, but for gamma and temperature.
        pairs: what to stylise.
        dtype: of kept features.
        finished: gets the latents of each batch as soon as it is done.
        structure: gets, before `finished`, the share of their contents' structure that these
            latents keep. Not called without injection, which measures it.
        latents: of the pairs that are done.
    """

    denoise: Denoiser
    memory: Memory
    schedule: Schedule
    params: ResolvedParams
    pairs: Sequence[Pair]
    dtype: torch.dtype
    finished: Finished | None = None
    structure: SeenStructure | None = None
    latents: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pictures = {picture.key: picture for pair in self.pairs for picture in pair.pictures}
        self.sizes = {key: self._size(picture) for key, picture in self.pictures.items()}

    @property
    def usual_shape(self) -> torch.Size:
        """The most frequent shape [C, h, w] of latents."""
        return Counter(x.z_0.shape for x in self.pictures.values()).most_common(1)[0][0]

    def run(self) -> list[Tensor]:
        """Clean latents, one per pair."""
        memory = self.memory
        memory.choose_place(self._need())
        memory.reused += sum(key in memory.kept for key in self.pictures)
        layers = self.params.layers if self.params.inject else ()
        watched = watched_layer(layers) if self.structure and layers else None
        try:
            with self.denoise.tapped(layers, watched):
                while len(self.latents) < len(self.pairs):
                    self._work()
        finally:
            memory.wanted = memory.in_use = ()
        return [self.latents[row] for row in range(len(self.pairs))]

    def _size(self, picture: Picture) -> Size:
        """Memory of a picture's inversion: z_T and its path, a content's Q or a style's K and V."""
        height, width = picture.z_0.shape[-2:]
        dtype = str(self.dtype).removeprefix("torch.")
        model, window = self.denoise.condition.model, self.denoise.window
        features = picture_memory(model, (height, width), self.params, dtype, window)
        kept = features.content if picture.role == "content" else features.style
        latents = 1 + self.params.inversion_evaluations if picture.path else 1
        return Size(tuple(picture.z_0.shape), latents * picture.z_0.nbytes + kept)

    def _need(self) -> int:
        """Bytes needed so that no picture is inverted twice: all of the smaller side and two
        pictures of the larger."""
        sides: dict[Role, list[int]] = {"content": [], "style": []}
        for key, picture in self.pictures.items():
            sides[picture.role].append(self.sizes[key].nbytes)
        stays, passes = sorted(sides.values(), key=sum)
        return sum(stays) + sum(sorted(passes)[-2:])

    def _work(self) -> None:
        """Works on all pairs that are not done yet. Stops early when memory runs out: the rest of
        the work is then planned again."""
        memory = self.memory
        rows = [row for row in range(len(self.pairs)) if row not in self.latents]
        order = work_order(
            [tuple(x.key for x in self.pairs[row].pictures) for row in rows],
            {key: Size((), x.nbytes) for key, x in memory.kept.items()} | self.sizes,
            memory.capacity,
            memory.batches.most,
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
        """Keys of the pictures of some pairs."""
        return {x.key for row in rows for x in self.pairs[row].pictures}

    def _invert(self, pictures: Sequence[Picture]) -> None:
        steps, dtype = self.schedule.inversion, self.dtype if self.params.inject else None
        invert_into(self.memory, self.denoise, steps, pictures, dtype)

    def _sample(self, rows: Sequence[int]) -> None:
        """Samples one batch of pairs."""
        latents = self._sampled(rows)
        self.memory.in_use = ()  # `finished` may need the memory
        if self.finished:
            self.finished(rows, torch.stack([latents[row] for row in rows]))
        self.latents |= latents

    def _sampled(self, rows: Sequence[int]) -> dict[int, Tensor]:
        """Clean latents of pairs; NaN where an inversion is not finite."""
        kept = {row: [self.memory.use(x.key) for x in self.pairs[row].pictures] for row in rows}
        good = [row for row in rows if all(x.finite for x in kept[row])]
        lost = [row for row in rows if row not in good]
        latents = {row: torch.full_like(kept[row][0].z_T, torch.nan) for row in lost}
        if good:
            latents |= zip(good, self._stylise(good, [kept[row] for row in good]), strict=True)
        return latents

    def _stylise(self, rows: Sequence[int], kept: Sequence[Sequence[Inversion]]) -> Tensor:
        """Clean latents [B, C, h, w] of pairs, by their inversions."""
        pairs, steps = [self.pairs[row] for row in rows], self.schedule.sampling
        protect = self._protection(pairs, kept)
        z = initial_latents(pairs, kept, self.params, protect)
        fill = self.denoise.rows(z) - len(pairs)
        pairs, kept = [*pairs, *[pairs[-1]] * fill], [*kept, *[kept[-1]] * fill]
        each: Iterable[Injection | None] = [None] * len(steps)
        if self.params.inject:
            bank, layers = self.memory.bank, self.params.layers
            each = injections(bank, self.denoise, self.schedule, layers, pairs, kept)
        z, z_0 = stylise(self.denoise, z, steps, each, protect=protect)
        if self.structure and self.denoise.queries:
            q_c, q_cs = (q[: len(rows)] for q in self.denoise.queries)
            self.denoise.queries = None
            self.structure(rows, kept_structure(q_c, q_cs))
        return z_0 if self.schedule.returns_z0 else z

    def _protection(
        self, pairs: Sequence[Pair], kept: Sequence[Sequence[Inversion]]
    ) -> Protection | None:
        """The protection of pairs by their strengths; None where they have none."""
        strengths = [pair.strength for pair in pairs if pair.strength is not None]
        if not strengths:
            return None
        paths, places = [content.path for content, *_ in kept], self.schedule.path
        strength = torch.stack(strengths)[:, None]

        def path(i: int) -> Tensor:
            latents = [path[places[i]] for path in paths if path is not None]
            return torch.stack(latents).to(strength.device)

        return Protection(strength, path)
