"""Options of an analysis; nothing here loads more than the configuration."""

from __future__ import annotations

from styleid_ray.config import (
    EngineOptions,
    JobConfig,
    ModelOptions,
    PictureOptions,
    StyleParams,
)
from styleid_ray.errors import ConfigError

FIGURES = ("queries", "patch", "logits", "colours", "ablations")
"""Names of the figures, in the order of the page."""
_GROUPS = (StyleParams, PictureOptions, ModelOptions, EngineOptions)
_TAKEN = {"content", "style", "storage_options"}.union(*(group.model_fields for group in _GROUPS))
_EXCLUDED = {"inject", "detail", "detail_luminance", "batch", "compile", "tile", "vae_tile"}
"""Options that an analysis sets itself, and those that change no feature of the model."""
OPTIONS = tuple(name for name in JobConfig.model_fields if name in _TAKEN - _EXCLUDED)
"""Options of a job that an analysis takes, with the meaning that they have there."""


def read_patch(text: str) -> tuple[float, float]:
    """The point of the content that `--patch X,Y` names: fractions of width and height, from the
    upper left corner, each in [0, 1].

    Raises:
        ConfigError: the text is not two such fractions.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ConfigError(
            f"--patch {text}: name a point by two fractions of the content's width and height, "
            "each from 0 to 1, such as 0.5,0.5"
        )
    return x, y
