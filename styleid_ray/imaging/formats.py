"""The picture formats that are read."""

import io
import os
from functools import cache

from PIL import Image

# Documents, scientific containers and metafiles are not pictures, and drawing some of them starts
# a program (Ghostscript for EPS).
_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
_EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


@cache
def picture_formats() -> tuple[str, ...]:
    """Pillow's names of the formats."""
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_PICTURES)


@cache
def picture_extensions() -> frozenset[str]:
    """Extensions of the formats, in lower case with their dot."""
    return frozenset(
        extension.lower()
        for extension, name in Image.registered_extensions().items()  # loads every plugin
        if name in Image.OPEN and name not in _NOT_PICTURES
    )


def picture_extension(name: str, data: bytes) -> str:
    """The extension of a picture file with its dot, by its name or else by its format."""
    extension = os.path.splitext(name)[1]
    if extension.lower() in picture_extensions():
        return extension
    with Image.open(io.BytesIO(data), formats=picture_formats()) as image:
        names = (e for e, name in Image.registered_extensions().items() if name == image.format)
        return _EXTENSIONS.get(image.format or "") or next(names, ".png")
