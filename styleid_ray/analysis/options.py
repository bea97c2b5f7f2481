"""Options and file names of an analysis; this module loads nothing but the configuration."""

from styleid_ray.config import (
    EngineOptions,
    JobConfig,
    ModelOptions,
    PictureOptions,
    StyleParams,
)

FIGURES = ("queries", "patch", "logits", "colours", "ablations")
"""Names of the figures, in the order of the page."""
NUMBERS, PAGE = "analysis.json", "index.html"
FILES = (*(f"{name}.png" for name in FIGURES), NUMBERS, PAGE)
"""All files of an analysis."""
_GROUPS = (StyleParams, PictureOptions, ModelOptions, EngineOptions)
_TAKEN = {"content", "style", "storage_options"}.union(*(group.model_fields for group in _GROUPS))
_EXCLUDED = {"inject", "detail", "detail_luminance", "batch", "compile", "tile", "vae_tile"}
"""Options that an analysis sets itself, and options without effect on the model's features."""
OPTIONS = tuple(name for name in JobConfig.model_fields if name in _TAKEN - _EXCLUDED)
"""Options of a job that an analysis takes; they mean the same there."""
