"""The quality columns of a run: their names, and what they measure."""

from __future__ import annotations

from typing import Any

COLUMN = "quality"
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


def is_quality(kind: Any) -> bool:
    """Whether a column `quality` of this Arrow type holds the measures: in a run of an earlier
    version it may be one that a table of pairs brought along."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    numbers = {field.name for field in kind if pa.types.is_floating(field.type)}
    return numbers >= MEASURES.keys()
