"""The files of an analysis: its figures, its numbers and its page."""

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image
from torch import Tensor

from styleid_ray.analysis.ablations import FULL, WITHOUT_ADAIN
from styleid_ray.analysis.colours import CHANNELS, Colours
from styleid_ray.analysis.figures import draw_logits, draw_patch, draw_queries, png
from styleid_ray.analysis.inputs import Inputs
from styleid_ray.analysis.make import Analysis
from styleid_ray.analysis.options import NUMBERS, PAGE
from styleid_ray.analysis.page import render_page
from styleid_ray.analysis.picture_figures import draw_ablations, draw_colours
from styleid_ray.config import DEMO_MODEL
from styleid_ray.preview.lines import command_line
from styleid_ray.storage.locations import shown

_DIGITS = 5


def compose(
    inputs: Inputs, analysis: Analysis, options: Mapping[str, Any], summary: str
) -> dict[str, bytes]:
    """The files of `options.FILES` by their names. The page shows the command's options, and the
    work and time in a line."""
    record, measures, variants = analysis.record, analysis.measures, inputs.variants
    content, style = inputs.pictures
    pictures: dict[str, Image.Image] = {"content": content, "style": style, **analysis.pictures}
    compared = {name: pictures[name] for name in ("content", "style", WITHOUT_ADAIN, FULL)}
    colours = {name: Colours.of(picture) for name, picture in compared.items()}
    figures = {
        "queries": draw_queries(record.queries),
        "patch": draw_patch(record.patches, content, style),
        "logits": draw_logits(record.spreads),
        "colours": draw_colours(compared, colours),
        "ablations": draw_ablations(pictures, variants, measures),
    }
    files = {name: png(figure) for name, figure in figures.items()}
    page = render_page(
        files,
        record,
        variants,
        measures,
        content=inputs.content.name,
        style=inputs.style.name,
        patch="{:g}, {:g}".format(*inputs.patch),
        command=command_line("analyze", options),
        summary=summary,
        demo=inputs.config.model == DEMO_MODEL,
    )
    numbers = _numbers(analysis, inputs, colours)
    pngs = {f"{name}.png": data for name, data in files.items()}
    return {**pngs, NUMBERS: numbers.encode(), PAGE: page.encode()}


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


def _numbers(analysis: Analysis, inputs: Inputs, colours: Mapping[str, Colours]) -> str:
    """The numbers behind the figures as JSON, to five digits; a map is a list of rows from the top,
    and the colour distance of the style is 0."""
    content = {
        "settings": _settings(inputs),
        "queries": [vars(x) for x in analysis.record.queries],
        "patch": [vars(x) for x in analysis.record.patches],
        "logits": [vars(x) for x in analysis.record.spreads],
        "colours": {
            name: {
                "style_colour_distance": own.distance(colours["style"]),
                "histograms": {
                    channel: {"range": range_, "shares": own.histogram(channel).tolist()}
                    for channel, range_ in CHANNELS.items()
                },
            }
            for name, own in colours.items()
        },
        "ablations": [
            {"name": x.name, "changed": x.changed, **analysis.measures[x.name]}
            for x in inputs.variants
        ],
    }
    return json.dumps(_rounded(content), ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.{_DIGITS}g}")
        case dict():
            return {name: _rounded(x) for name, x in value.items()}
        case list() | tuple():
            return [_rounded(x) for x in value]
        case Tensor():
            return _rounded(value.tolist())
    return value
