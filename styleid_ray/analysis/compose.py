"""The files of an analysis: its figures, its numbers and its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from styleid_ray.analysis.ablations import FULL, WITHOUT_ADAIN
from styleid_ray.analysis.colours import Colours
from styleid_ray.analysis.figures import draw_logits, draw_patch, draw_queries, png
from styleid_ray.analysis.inputs import Inputs
from styleid_ray.analysis.make import Analysis
from styleid_ray.analysis.numbers import numbers
from styleid_ray.analysis.page import Heading, render_page
from styleid_ray.analysis.picture_figures import draw_ablations, draw_colours
from styleid_ray.config import DEMO_MODEL
from styleid_ray.preview.lines import command_line
from styleid_ray.storage.locations import shown


def compose(
    inputs: Inputs, analysis: Analysis, options: Mapping[str, Any], summary: str
) -> tuple[dict[str, bytes], str, str]:
    """The figures as PNG by their names, the numbers as JSON, and the page as HTML.

    Args:
        inputs: the pair and its parameters.
        analysis: its results.
        options: of the command line, for the page.
        summary: work and time in a line.
    """
    record, measures, variants = analysis.record, analysis.measures, inputs.variants
    content, style = inputs.pictures
    pictures: dict[str, Image.Image] = {"content": content, "style": style, **analysis.pictures}
    compared = ("content", "style", WITHOUT_ADAIN, FULL)
    colours = {name: Colours.of(pictures[name]) for name in compared}
    figures = {
        "queries": draw_queries(record.queries),
        "patch": draw_patch(record.patches, content, style),
        "logits": draw_logits(record.spreads),
        "colours": draw_colours({name: pictures[name] for name in compared}, colours),
        "ablations": draw_ablations(pictures, variants, measures),
    }
    files = {name: png(figure) for name, figure in figures.items()}
    settings = _settings(inputs)
    text = numbers(settings, record, colours, variants, measures)
    heading = Heading(
        inputs.content.name,
        inputs.style.name,
        "{:g}, {:g}".format(*inputs.patch),
        _line(settings),
        command_line("analyze", options),
        summary,
        inputs.config.model == DEMO_MODEL,
    )
    return files, text, render_page(heading, files, record, variants, measures)


def _settings(inputs: Inputs) -> dict[str, Any]:
    """Names and parameters of the pair, as JSON has them."""
    params = inputs.variants[0].params.resolved()
    unused = {"inject", "detail", "detail_luminance"}
    return {
        "content": inputs.content.name,
        "style": inputs.style.name,
        "content_size": list(inputs.pictures[0].size),
        "style_size": list(inputs.pictures[1].size),
        "patch": list(inputs.patch),
        "size": inputs.config.working_size,
        "fit": inputs.config.fit,
        "model": shown(inputs.config.model),
        "revision": inputs.checkpoint.revision,
        "vae": inputs.config.vae and shown(inputs.config.vae),
        **params.model_dump(mode="json", exclude=unused),
    }


def _line(settings: Mapping[str, Any]) -> str:
    """The model and the parameters in a line, those that are set."""
    pair = {"content", "style", "content_size", "style_size", "patch"}
    words = {name: x for name, x in settings.items() if name not in pair and x is not None}
    return ", ".join(f"{name.replace('_', ' ')} {_word(x)}" for name, x in words.items())


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, (bool, float)) else str(value)
