"""The page beside the grid: one HTML file with the pictures, costs and commands inside."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from styleid_ray.batch.watch.progress import duration
from styleid_ray.preview.make import Costs
from styleid_ray.preview.sheet import Labels, Row

_QUALITY = 90


def render_page(
    rows: Sequence[Row],
    labels: Labels,
    settings: str,
    summary: str,
    costs: Costs,
    command: str,
    commands: Sequence[str],
) -> str:
    """The page as text. Names reach it as text only, and it loads nothing from elsewhere.

    Args:
        rows, labels, settings: as in `draw_sheet`.
        summary: pictures and time in a line.
        costs: work of each column.
        command: the command line of the preview.
        commands: by column, the command line of a job with its values.
    """
    css, script = _asset("page.css"), _asset("page.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    columns = [", ".join(filter(None, label)) for label in labels]
    return environment.from_string(_asset("page.html.j2")).render(
        settings=settings,
        summary=summary,
        command=command,
        levels=_levels(labels),
        rows=[_cells(row, columns) for row in rows],
        shared=_cost(f"{costs.inverted} inversions, shared by the columns", *costs.inversions),
        costs=[
            _cost(label, *spent) | {"command": line}
            for label, spent, line in zip(columns, costs.columns, commands, strict=True)
        ],
        css=Markup(css),
        script=Markup(script),
        css_hash=_hash(css),
        script_hash=_hash(script),
    )


def _levels(labels: Labels) -> list[list[dict[str, Any]]]:
    return [
        [
            {"text": key[-1], "columns": len(list(members))}
            for key, members in itertools.groupby(labels, key=lambda label, n=level: label[:n])
        ]
        for level in range(1, len(labels[0]) + 1)
    ]


def _cells(row: Row, columns: Sequence[str]) -> list[list[dict[str, str | None]]]:
    """The pictures of each cell: of one several styles, of the others one."""
    content, *styles = row.names
    names = ", ".join(row.names) + (f", {row.own}" if row.own else "")
    own = f"{content}, {row.own}" if row.own else content
    cells = [
        [_cell(row.content, f"content {content}", own)],
        [_cell(x, f"style {name}", name) for x, name in zip(row.styles, styles, strict=True)],
    ]
    for picture, column in zip(row.results, columns, strict=True):
        cells.append([_cell(picture, f"{names}: {column}")])
    return cells


def _cell(picture: Image.Image | None, title: str, name: str = "") -> dict[str, str | None]:
    return {"image": picture and _embedded(picture), "title": title, "name": name}


def _embedded(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="webp", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cost(label: str, evaluations: int, seconds: float) -> dict[str, str]:
    time = f"{seconds:.2g} s" if seconds < 10 else duration(seconds)
    return {"label": label, "evaluations": f"{evaluations:,}", "time": time}


def _asset(name: str) -> str:
    return files("styleid_ray.preview").joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    """The text's hash as content security policies have it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
