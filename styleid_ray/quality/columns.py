"""The quality columns of a run: their names, and what they measure."""

from __future__ import annotations

from typing import Any

MEASURES = {
    "color": "colour distance to the style gone",
    "structure": "self-similarity kept",
    "edges": "edges kept",
    "saturation": "mean saturation",
    "blank": "share without detail",
    "sharpness": "sharpness beside the content's",
    "copy": "nearness to a copy of the content",
}
"""Fields of the column `quality`, in its order, each with a few words."""
PIXEL_MEASURES = tuple(name for name in MEASURES if name != "structure")
"""Those that are computed of pixels alone, in this order."""


def quality_type() -> Any:
    """The Arrow type of the column: a struct of float32, null where a measure has no value."""
    import pyarrow as pa

    return pa.struct([(name, pa.float32()) for name in MEASURES])
