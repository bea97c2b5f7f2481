"""Pictures of a job's sources, ready for the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from styleid_ray.batch.stages.mask import OPTIONS, STRENGTH, Masks, check_size, masks_of
from styleid_ray.config import JobConfig
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.masks import mask_name
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, fit_picture, restore
from styleid_ray.imaging.fit import centre_square
from styleid_ray.storage.locations import shown

_ORIGINAL = 1024
Name = tuple[str, str]
"""Role (content or style) and key of a picture."""


@dataclass(frozen=True)
class Shown:
    """A content or style of the preview."""

    name: str
    """The key, fit to be printed."""
    size: tuple[int, int]
    """(width, height) in pixels of a job's result for this content."""
    original: Image.Image
    """The part that the model gets, at most 1,024 pixels per side."""
    fitted: Image.Image
    """The same part at the model's working size."""
    masks: Mapping[str, Image.Image]
    """Masks of a content, by their roles: mode L, of the size of `fitted`."""

    def shaped(self, result: Image.Image, side: int) -> Image.Image:
        """A result at working size in this picture's shape, neither side above `side` pixels."""
        width, height = self.size
        shrink = min(1.0, side / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        return restore(result, *size, "keep")


class Reader:
    """Reads pictures by their names, each once, as a job does.

    Args:
        contents, styles, config: of the job.
        factor: multiple of the working size's sides, in pixels.
        named: names of strength masks by content key, where a table gives them.
    """

    def __init__(
        self,
        contents: Source,
        styles: Source,
        config: JobConfig,
        factor: int,
        named: Mapping[str, str | None] | None = None,
    ) -> None:
        self.pictures: dict[Name, Shown] = {}
        """Readable pictures."""
        self.unread: dict[Name, str] = {}
        """A line on each picture that cannot be read, or whose mask cannot."""
        self._sources = {"content": contents, "style": styles}
        self._masks = masks_of(config)
        self._config, self._factor, self._named = config, factor, named or {}

    def readable(self, name: Name) -> bool:
        """Whether the picture can be read; the first call reads it."""
        if name not in self.pictures and name not in self.unread:
            try:
                self.pictures[name] = self._read(*name)
            except RowError as e:
                self.unread[name] = f"{name[0]} {shown(name[1])}: {shown(str(e))}"
        return name in self.pictures

    def _read(self, role: str, key: str) -> Shown:
        config, source = self._config, self._sources[role]
        places = source.places
        place = None if places is None else places[source.keys.index(key)]
        image = decode(fetch_picture(source, key, place, config.max_bytes).data, config.max_pixels)
        side = config.style_size if role == "style" else config.working_size
        fitted = fit_picture(image, side, config.fit, self._factor)
        size = image.size if config.fit == "keep" else fitted.size
        masks = self._masks if role == "content" else {}
        own = {role: self._mask(key, role, one, image.size) for role, one in masks.items()}
        if config.fit == "crop":
            image = centre_square(image)
        image.thumbnail((_ORIGINAL, _ORIGINAL), Image.Resampling.LANCZOS)
        return Shown(shown(key), size, image, fitted, own)

    def _mask(self, key: str, role: str, masks: Masks, size: tuple[int, int]) -> Image.Image:
        config, kind = self._config, masks.kind
        name = (self._named.get(key) if role == STRENGTH else None) or mask_name(key)
        try:
            data = fetch_picture(masks.source, name, None, config.max_bytes).data
            mask = decode(data, config.max_pixels, kind.convert)
            check_size(mask.size, size)
            return fit_picture(mask, config.working_size, config.fit, self._factor, kind.resampling)
        except RowError as e:
            raise RowError(e.stage, f"its mask in {OPTIONS[role]}: {e}") from e
