"""The pair, the parameters and the place of an analysis, checked before a model is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from styleid_ray.analysis.ablations import Variant, ablations
from styleid_ray.analysis.options import FILES
from styleid_ray.batch.prepare import model_of
from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.jobfile import make_config
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.planning.pairing import read_sources
from styleid_ray.preview.pictures import Reader, Shown
from styleid_ray.preview.place import Place, folder_of


@dataclass(frozen=True)
class Inputs:
    """The pair, the parameters, the model's files and the place of an analysis."""

    config: JobConfig
    checkpoint: Checkpoint
    content: Shown
    style: Shown
    patch: tuple[float, float]
    variants: Sequence[Variant]
    place: Place

    @property
    def pictures(self) -> tuple[Image.Image, Image.Image]:
        """Content and style at the model's working size."""
        return self.content.fitted, self.style.fitted


def read_inputs(options: Mapping[str, Any], patch: str) -> Inputs:
    """All inputs of an analysis but the model's weights; arguments and errors as of
    `write.write_analysis`."""
    config = make_config(dict(options))
    for name in config.draws:
        raise ConfigError(
            f"--{name} {getattr(config, name)}: an analysis makes one pair with one value or "
            "schedule; styleid-ray preview compares several"
        )
    point, place = _point(patch), Place(config, folder_of(config.output), FILES)
    checkpoint, config = model_of(config)
    variants = ablations(config.style_params)
    sources = read_sources(config, config.storage_options)
    reader = Reader(*sources, config, checkpoint.factor)
    content, style = (
        _first(reader, role, source.keys[0])
        for role, source in zip(("content", "style"), sources, strict=True)
    )
    return Inputs(config, checkpoint, content, style, point, variants, place)


def _point(patch: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in patch.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ConfigError(
            f"--patch {patch}: name a point by two fractions of the content's width and height, "
            "each from 0 to 1, such as 0.5,0.5"
        )
    return x, y


def _first(reader: Reader, role: str, key: str) -> Shown:
    if not reader.readable((role, key)):
        reason = reader.unread[role, key].removeprefix(f"{role} ")
        raise SourceError(f"--{role}: {reason}; name another picture")
    return reader.pictures[role, key]
