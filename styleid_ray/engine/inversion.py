"""Inversion of a batch by DDIM (section 3.1), with its features on the way."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.engine import cuda
from styleid_ray.engine.bank import Slot
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.layout import Layout, Role
from styleid_ray.engine.memory import Inversion, Memory
from styleid_ray.engine.pairs import Picture
from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import Features, invert


@dataclass(frozen=True)
class BatchInversion:
    """An inverted batch: z_T [B, C, h, w] and the features on the way."""

    z_T: Tensor
    features: dict[tuple[str, int, int], Tensor]
    """("q", "k" or "v", layer, timestep) → [B, heads, tokens, d]."""


def invert_batch(
    denoise: Denoiser, z_0: Tensor, steps: Sequence[Step], layers: Sequence[int], most: int
) -> BatchInversion:
    """z_T and all features of clean latents [B, C, h, w], at most `most` in a UNet call."""
    recorded: defaultdict[tuple[str, int, int], list[Tensor]] = defaultdict(list)

    def keep(i: int, features: Features) -> None:
        for (name, layer), x in features.items():
            recorded[name, layer, steps[i].t].append(x.clone())

    with denoise.tapped(layers):
        z_T = torch.cat([invert(denoise, batch, steps, keep) for batch in z_0.split(most)])
    return BatchInversion(z_T, {key: torch.cat(parts) for key, parts in recorded.items()})


def invert_into(
    memory: Memory,
    denoise: Denoiser,
    steps: Sequence[Step],
    pictures: Sequence[Picture],
    dtype: torch.dtype | None,
) -> None:
    """Invert pictures of one shape in one batch, and keep their inversions in the memory. A latent
    that is not finite takes no UNet evaluation.

    Args:
        memory: of the pipeline.
        denoise: the UNet, tapped at the injected layers.
        steps: of the inversion.
        pictures: in either role, none of them kept yet.
        dtype: of the kept features; None to keep z_T without features.
    """
    z_0 = torch.stack([x.z_0 for x in pictures])
    for picture, good in zip(pictures, cuda.finite_rows(z_0), strict=True):
        if not good:
            memory.keep(picture.key, Inversion(picture.z_0, None, finite=False))
    batch = [x for x in pictures if x.key not in memory.kept]
    if not batch:
        return
    batch.sort(key=lambda x: x.role != "content")
    contents = sum(x.role == "content" for x in batch)
    rows: dict[Role, slice] = {
        "content": slice(0, contents),
        "style": slice(contents, len(batch)),
    }
    z_0 = torch.stack([x.z_0 for x in batch])
    slots: list[Slot] = []
    # Paths lie where features do: their bytes count against that place.
    place = z_0.device if memory.bank.place == "device" else torch.device("cpu")
    shape = len(steps), *z_0.shape[1:]
    paths = {at: z_0.new_empty(shape, device=place) for at, x in enumerate(batch) if x.path}

    def keep(i: int, features: Features) -> None:
        assert dtype is not None
        for role, part in rows.items():
            if not batch[part]:
                continue
            layout = Layout.of(features, role, dtype)
            if i == 0:
                for _ in batch[part]:
                    slots.append(memory.bank.take(len(steps), layout))
            memory.bank.write(slots[part], i, layout.pack(features, part))

    def keep_path(i: int, z: Tensor) -> None:
        for at, path in paths.items():
            path[i] = z[at]

    try:
        z_T = invert(denoise, z_0, steps, keep if dtype else None, keep_path if paths else None)
        finite = cuda.finite_rows(z_T)
    except BaseException:
        for slot in slots:
            memory.bank.give_back(slot)
        raise
    kept = zip(batch, z_T, slots or [None] * len(batch), finite, strict=True)
    for at, (picture, z, slot, good) in enumerate(kept):
        memory.keep(picture.key, Inversion(z.clone(), slot, good, paths.get(at)))
    memory.inversions += len(batch)
