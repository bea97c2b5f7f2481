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
from styleid_ray.footprint import picture_memory

GIB = 2**30
USABLE = 0.75
"""Share of the free memory that kept features may take: the rest is for the work itself."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Budget:
    """Bytes that kept features may take on the device and in host memory."""

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
) -> int:
    """Bytes of the features of one picture with latents [C, h, w].

    A content keeps Q, a style K and V, at each injected layer and timestep (`footprint`).

    Args:
        unet: the UNet's configuration.
        dtype: of the stored features.
    """
    name = str(dtype).removeprefix("torch.")
    picture = picture_memory(unet, (shape[-2], shape[-1]), params, name)
    return picture.content if role == "content" else picture.style


def budget(
    device: torch.device, held: int, limit: float | None, host_share: float, device_share: float
) -> Budget:
    """What kept features may take.

    Args:
        held: bytes that they take already: these are not free, but theirs.
        limit: GiB asked for, or None for three quarters of what is free.
        host_share, device_share: the parts of what is free that are this process's, in (0, 1].
    """
    if limit is not None:
        return Budget(int(limit * GIB), int(limit * GIB))
    host = int(USABLE * host_share * (free_host_bytes() + held))
    if device.type != "cuda":
        return Budget(host, host)
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return Budget(int(USABLE * device_share * (free + unused + held)), host)


def free_host_bytes() -> int:
    """Memory that this process can still get: the machine's, or its container's if that is less."""
    free = psutil.virtual_memory().available
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, int(most) - used)) if most.isdigit() else free


def choose_store(asked: str, need: int, free: Budget, on_cpu: bool) -> Choice:
    """The store asked for, or with "auto" the fastest that holds `need` bytes.

    Args:
        need: bytes of the features that a call holds at the same time.
        on_cpu: whether the device is the host itself.
    """

    def said(count: int) -> str:
        return f"{count / GIB:.2f} GiB"

    capacity = {"device": free.device, "host": free.host, "recompute": free.host}
    if asked != "auto":
        return Choice(asked, capacity[asked], "asked for")  # pyright: ignore[reportArgumentType]
    if need <= free.device:
        return Choice("device", free.device, f"{said(need)} of them fit the device's memory")
    if need <= free.host and not on_cpu:
        why = f"{said(need)} of them fit the host's memory, not {said(free.device)} of the device's"
        return Choice("host", free.host, why)
    why = f"{said(need)} of them do not fit {said(free.host)} of the host's memory"
    return Choice("recompute", free.host, why)
