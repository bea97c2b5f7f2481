"""The quality columns of a run: names and meanings."""

from typing import Any

COLUMN = "quality"
MEASURES = {
    "color": "how far the colours moved from content to style",
    "structure": "self-similarity kept",
    "edges": "edges kept",
    "saturation": "mean saturation",
    "blank": "share without detail",
    "sharpness": "sharpness beside the content's",
    "copy": "similarity to the content",
}
"""Fields of the column `quality`, in its order, each in a few words."""
RANGES = dict.fromkeys(MEASURES, (0.0, 1.0)) | {"color": (-1.0, 1.0), "sharpness": (0.0, 10.0)}
"""Least and greatest value of each measure."""
PIXEL_MEASURES = tuple(name for name in MEASURES if name != "structure")
"""The measures that are computed from pixels alone, in this order."""


def quality_type() -> Any:
    """The Arrow type of the column: a struct of float32, null where a measure has no value."""
    import pyarrow as pa

    return pa.struct([(name, pa.float32()) for name in MEASURES])
