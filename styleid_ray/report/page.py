"""The HTML page: a Jinja2 template with its style sheet and script put inside."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from styleid_ray.report.facts import Facts
from styleid_ray.report.failures import Failures
from styleid_ray.report.measured import Measures

_STYLES = ("report.css", "measures.css")
_SCRIPTS = ("gallery.js", "measures.js", "variants.js", "worst.js", "viewer.js")


def render(
    facts: Facts,
    failures: Failures,
    measures: Measures,
    gallery: dict[str, Any],
    made: datetime,
    version: str | None = None,
) -> str:
    """The whole page as text.

    A policy in its head lets only the script and the style sheet that we wrote take effect, and
    only embedded pictures load: the page could not call out even if a name got through as markup.
    A page with a version is served: it asks its own server for a newer one.
    """
    css = "\n".join(_asset(name) for name in _STYLES)
    scripts = _SCRIPTS if version is None else (*_SCRIPTS, "live.js")
    script = "\n".join(_asset(name) for name in scripts)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_asset("template.html.j2"))
    return template.render(
        **{name: getattr(facts, name) for name in asdict(facts)},
        failures=failures,
        measures=measures,
        shown=gallery["shown"],
        total=gallery["total"],
        side=gallery["side"],
        made=made.isoformat(timespec="seconds"),
        version=version,
        css=Markup(css),
        script=Markup(script),
        css_hash=_hash(css),
        script_hash=_hash(script),
        data=Markup(embedded_json(gallery)),
    )


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: ASCII, and nothing in it looks like markup."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return files("styleid_ray.report").joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    """The text's hash as content security policies have it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
