"""The host's memory, as far as this process may use it."""

from collections.abc import Iterator
from math import inf
from pathlib import Path

import psutil

_MOUNT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_FILES = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Limit and use of a cgroup, in bytes, in versions 2 and 1 of cgroups."""
_CACHE = ("active_file", "inactive_file")


def free_memory() -> int:
    """Bytes that this process can still allocate: free on the machine, and within the limit of each
    cgroup around the process, such as a container, a Slurm job and its step. The page cache counts
    as free."""
    rooms = (_room(folder, *files) for folder in _cgroups() for files in _FILES)
    return int(min([psutil.virtual_memory().available, *rooms]))


def _cgroups() -> Iterator[Path]:
    """Folders of the cgroups of this process, outermost first. In a container its own cgroup may
    look like the outermost one, and folders above it may not exist."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            folder = _MOUNT / controllers
            yield folder
            for part in Path(path).parts[1:]:
                folder /= part
                yield folder


def _room(folder: Path, limit: str, used: str) -> float:
    """Bytes left within a cgroup's limit; inf without one."""
    try:
        most, now = (int((folder / name).read_text()) for name in (limit, used))
        lines = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no such cgroup, or its limit is "max"
        return inf
    stat = dict(line.split() for line in lines)
    # In version 1 only `total_` includes the cgroups inside, as the use does.
    cache = sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in _CACHE)
    return max(0, most - now + cache)
