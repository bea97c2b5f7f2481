"""The page beside the grid: one HTML file with the pictures, costs and commands inside."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from styleid_ray.batch.watch.progress import duration
from styleid_ray.preview.make import Made
from styleid_ray.preview.sheet import Labels, Row, headings
from styleid_ray.webpage import render, webp_uri

_QUALITY = 90


def render_page(
    rows: Sequence[Row],
    labels: Labels,
    settings: str,
    summary: str,
    made: Made,
    command: str,
    commands: Sequence[str],
) -> str:
    """The page as text, with the `command` of the preview and, per column, the command of a job
    with its values. `rows`, `labels` and `settings` are as in `draw_sheet`."""
    columns = [", ".join(filter(None, label)) for label in labels]
    levels = [
        [{"text": text, "columns": len(members)} for text, members in level]
        for level in headings(labels)
    ]
    return render(
        "styleid_ray.preview",
        "page.html.j2",
        ["page.css"],
        ["page.js"],
        settings=settings,
        summary=summary,
        command=command,
        levels=levels,
        rows=[_cells(row, columns) for row in rows],
        shared=_cost(f"{made.inverted} inversions, shared by the columns", *made.inversions),
        costs=[
            _cost(label, *spent) | {"command": line}
            for label, spent, line in zip(columns, made.costs, commands, strict=True)
        ],
    )


def _cells(row: Row, columns: Sequence[str]) -> list[list[dict[str, str | None]]]:
    """The pictures of each cell: content, styles (one or more), and one result per column."""
    content, *styles = row.names
    names = ", ".join(row.names) + (f", {row.own}" if row.own else "")
    own = f"{content}, {row.own}" if row.own else content
    return [
        [_cell(row.content, f"content {content}", own)],
        [_cell(x, f"style {name}", name) for x, name in zip(row.styles, styles, strict=True)],
        *([_cell(x, f"{names}: {y}")] for x, y in zip(row.results, columns, strict=True)),
    ]


def _cell(picture: Image.Image | None, title: str, name: str = "") -> dict[str, str | None]:
    return {"image": picture and webp_uri(picture, _QUALITY), "title": title, "name": name}


def _cost(label: str, evaluations: int, seconds: float) -> dict[str, Any]:
    time = f"{seconds:.2g} s" if seconds < 10 else duration(seconds)
    return {"label": label, "evaluations": f"{evaluations:,}", "time": time}
