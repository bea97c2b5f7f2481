"""StyleID style transfer for whole datasets, as a Ray Data batch job.

Importing this package loads neither ray nor torch; its names load what they need on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from styleid_ray.config import JobConfig, StyleParams

if TYPE_CHECKING:
    from styleid_ray.batch.dataset import stylize_dataset
    from styleid_ray.batch.run import stylize
    from styleid_ray.engine.pipeline import StyleIDPipeline

__version__ = "0.1.0"
__all__ = ["JobConfig", "StyleIDPipeline", "StyleParams", "stylize", "stylize_dataset"]

_LAZY = {
    "StyleIDPipeline": "styleid_ray.engine.pipeline",
    "stylize": "styleid_ray.batch.run",
    "stylize_dataset": "styleid_ray.batch.dataset",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
