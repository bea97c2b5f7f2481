"""Bytes: what features take, what is free, and the feature store that follows from the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from styleid_ray.config import ResolvedParams
from styleid_ray.engine.features import Role, Store
from styleid_ray.footprint import in_pinned_memory, picture_memory

GIB = 2**30
USABLE = 0.75
"""Share of the free memory that kept features may take: the rest is for the work itself."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Room:
    """Bytes of kept features on the device and in host memory: what they may take, or need."""

    device: int
    host: int


@dataclass(frozen=True)
class Choice:
    """A feature store, its capacity in bytes, and the reason in words."""

    store: Store
    capacity: int
    why: str


def features_nbytes(
    unet: Mapping[str, Any],
    shape: Sequence[int],
    params: ResolvedParams,
    role: Role,
    dtype: torch.dtype,
    pinned: bool = False,
) -> int:
    """Bytes of the features of one picture with latents [C, h, w].

    A content keeps Q, a style K and V, at each injected layer and timestep (`footprint`).

    Args:
        unet: the UNet's configuration.
        dtype: of the stored features.
        pinned: whether they lie in pinned host memory, which is handed out in powers of two.
    """
    name = str(dtype).removeprefix("torch.")
    picture = picture_memory(unet, (shape[-2], shape[-1]), params, name)
    picture = in_pinned_memory(picture, params.steps) if pinned else picture
    return picture.content if role == "content" else picture.style


def budget(
    device: torch.device, held: int, limit: float | None, host_share: float, device_share: float
) -> Room:
    """What kept features may take.

    Args:
        held: bytes that they take already: these are not free, but theirs.
        limit: GiB asked for, or None for three quarters of what is free.
        host_share, device_share: the parts of what is free that are this process's, in (0, 1].
    """
    if limit is not None:
        return Room(int(limit * GIB), int(limit * GIB))
    host = int(USABLE * host_share * (free_host_bytes() + held))
    if device.type != "cuda":
        return Room(host, host)
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return Room(int(USABLE * device_share * (free + unused + held)), host)


def free_host_bytes() -> int:
    """Memory that this process can still get: the machine's, or its container's if that is less."""
    free = psutil.virtual_memory().available
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, int(most) - used)) if most.isdigit() else free


def choose_store(asked: str, need: Room, free: Room, on_cpu: bool) -> Choice:
    """The store asked for, or with "auto" the fastest that holds what is needed.

    Args:
        need: of the features that a call holds at the same time, in the one place or the other.
        on_cpu: whether the device is the host itself.
    """

    def said(count: int) -> str:
        return f"{count / GIB:.2f} GiB"

    # Latents, which is what recomputing keeps, stay on the device.
    capacity = {"device": free.device, "host": free.host, "recompute": free.device}
    if asked != "auto":
        return Choice(asked, capacity[asked], "asked for")  # pyright: ignore[reportArgumentType]
    if need.device <= free.device:
        return Choice("device", free.device, f"{said(need.device)} of them fit the device's memory")
    if need.host <= free.host and not on_cpu:
        why = (
            f"{said(need.host)} of them fit the host's memory, "
            f"{said(need.device)} not {said(free.device)} of the device's"
        )
        return Choice("host", free.host, why)
    why = f"{said(need.host)} of them do not fit {said(free.host)} of the host's memory"
    return Choice("recompute", free.device, why)
