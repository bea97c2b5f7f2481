"""The machine and the versions that figures were taken with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("styleid-ray", "torch", "diffusers", "ray", "pyarrow", "numpy")


def describe_machine() -> dict[str, Any]:
    """Cores, memory, how busy the machine is already, the GPU, and versions."""
    import psutil
    import torch

    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 1) for load in psutil.getloadavg()],
        "processor": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # not every measurement needs all of them
        return None
