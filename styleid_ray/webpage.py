"""HTML pages in one file: style sheets, scripts and pictures are embedded, and nothing is loaded
from elsewhere."""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image


def render(
    package: str, template: str, styles: Sequence[str], scripts: Sequence[str] = (), **values: Any
) -> str:
    """The page of a Jinja2 template.

    The template also gets `css` and `script`, and their hashes for a content security policy,
    `css_hash` and `script_hash`. Other values are escaped: a file name is never markup.

    Args:
        package: where the files lie, such as "styleid_ray.report".
        template, styles, scripts: names of the files.
        values: of the template's variables.
    """

    def joined(*names: str) -> str:
        texts = (files(package).joinpath(name).read_text(encoding="utf-8") for name in names)
        return "\n".join(text.strip() for text in texts)

    css, script = joined(*styles), joined(*scripts)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(joined(template)).render(
        values,
        css=Markup(css),
        script=Markup(script),
        css_hash=_policy_hash(css),
        script_hash=_policy_hash(script),
    )


def webp_uri(picture: Image.Image, quality: int) -> str:
    """The data URI of a picture as WebP of this quality, 0 to 100."""
    buffer = io.BytesIO()
    picture.save(buffer, format="webp", quality=quality, method=4)
    return data_uri(buffer.getvalue(), "webp")


def data_uri(data: bytes, format: str) -> str:
    """The data URI of a picture file of this format, such as "png"."""
    return f"data:image/{format};base64,{base64.b64encode(data).decode()}"


def _policy_hash(text: str) -> str:
    """The hash of a text in the form of content security policies."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
