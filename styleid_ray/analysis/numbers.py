"""The numbers behind the figures, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from styleid_ray.analysis.ablations import Variant
from styleid_ray.analysis.colours import CHANNELS, Colours
from styleid_ray.analysis.quality import Measures
from styleid_ray.analysis.record import Record

_DIGITS = 5


def numbers(
    settings: Mapping[str, Any],
    record: Record,
    colours: Mapping[str, Colours],
    variants: Sequence[Variant],
    measures: Mapping[str, Measures],
) -> str:
    """The analysis as JSON text, in figures of five digits; maps are lists of rows from the top.

    Args:
        settings: parameters and names of the pair.
        record: of the full method.
        colours: by the name of each picture; the style's distance is 0.
        variants, measures: the ablations, and their measures by name.
    """
    content = {
        "settings": dict(settings),
        "queries": [_fields(x) for x in record.queries],
        "patch": [_fields(x) for x in record.patches],
        "logits": [_fields(x) for x in record.spreads],
        "colours": {name: _colours(x, colours["style"]) for name, x in colours.items()},
        "ablations": [
            {"name": x.name, "changed": dict(x.changed), **measures[x.name]} for x in variants
        ],
    }
    return json.dumps(_rounded(content), ensure_ascii=False, allow_nan=False)


def _fields(record: Any) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: x.tolist() if isinstance(x, Tensor) else x for name, x in values.items()}


def _colours(colours: Colours, style: Colours) -> dict[str, Any]:
    histograms = {
        name: {"range": list(CHANNELS[name]), "shares": colours.histogram(name).tolist()}
        for name in CHANNELS
    }
    return {"style_colour_distance": colours.distance(style), "histograms": histograms}


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.{_DIGITS}g}")
        case dict():
            return {name: _rounded(x) for name, x in value.items()}
        case list() | tuple():
            return [_rounded(x) for x in value]
    return value
