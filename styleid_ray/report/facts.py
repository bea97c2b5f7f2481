"""The facts and the progress of a run, in the words of the page."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import yaml

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.watch.progress import duration
from styleid_ray.methods import METHODS
from styleid_ray.model.lora import name_of
from styleid_ray.report.public import public_location, public_values

_BY_PAIR = ("γ", "temperature")
"""Labels of the parameters that a table or `remake` sets for single pairs."""


class Tile(NamedTuple):
    """One number of the page's head."""

    label: str
    value: str
    hint: str = ""
    tone: str = ""
    """"bad" or "wait" where the number needs attention."""


def read_facts(output: Output, record: dict[str, Any], tally: Tally) -> dict[str, Any]:
    """The head of the page, from a run's record, tally and summary, if it has one.

    Returns:
        title (the last part of the output's location), location, tally, tiles, params (the job's
        own parameters as from `labelled`), created, finished (end of the last command, or empty),
        config (YAML of the record without secrets).
    """
    summary = output.summary()
    location = public_location(output.url)
    identity = record.get("identity") or {}
    return {
        "title": location.rstrip("/").rsplit("/", 1)[-1] or location,
        "location": location,
        "tally": tally,
        "tiles": _tiles(tally, summary),
        "params": labelled({**identity, **(record.get("config") or {}), **_resolved(identity)}),
        "created": str(record.get("created") or ""),
        "finished": str(summary.get("finished") or ""),
        "config": yaml.safe_dump(public_values(record), sort_keys=False, allow_unicode=True),
    }


def labelled(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Parameters of a pair or a job as (label, value) texts, without unset ones."""
    method: Any = params.get("method")
    compared = method in METHODS and method != "styleid"
    labels = [
        ("method", METHODS[method].name if compared else None),
        ("γ", _control(params, "gamma")),
        ("temperature", _control(params, "temperature")),
        ("steps", _number(params.get("steps"))),
        ("layers", _ranges(params.get("layers") or [])),
        ("preset", params.get("preset")),
        ("AdaIN", _share(params.get("adain_strength", params.get("adain")))),
        ("low frequencies", _unless(params.get("low_frequency"), 1)),
        ("injection", _switch(params.get("inject"))),
        ("detail", _unless(params.get("detail"), 0)),
        ("detail of luminance alone", "on" if params.get("detail_luminance") else None),
        ("masks", "on" if params.get("masks") else None),
        ("styles of regions", params.get("region_styles")),
        ("working size", f"{params['size']} px" if params.get("size") else None),
        ("fit", params.get("fit")),
        ("model", public_location(str(params["model"])) if params.get("model") else None),
        ("revision", str(params["revision"])[:12] if params.get("revision") else None),
        ("autoencoder", public_location(str(params["vae"])) if params.get("vae") else None),
        ("LoRA weights", _loras(params.get("lora"))),
    ]
    return [(label, str(value)) for label, value in labels if value not in (None, "")]


def with_other_values(
    params: list[tuple[str, str]], of_pairs: Iterable[Sequence[tuple[str, str]]]
) -> list[tuple[str, str]]:
    """A job's parameters that also say where pairs have another γ or temperature than the job's
    number; a schedule, range or list stays.

    Args:
        params: of the job, as from `labelled`.
        of_pairs: parameters of pairs on the page, likewise.
    """
    others = {label for pair in of_pairs for label, value in pair if (label, value) not in params}
    differing = others & {*_BY_PAIR}
    return [
        (label, f"{value} (some pairs: other values)")
        if label in differing and value.replace(".", "", 1).isdecimal()
        else (label, value)
        for label, value in params
    ]


def _loras(lora: str | list[str] | None) -> str:
    """Names and weights of LoRA files: a run's list, or a row's text."""
    files = lora.split(",") if isinstance(lora, str) else lora or ()
    return ", ".join(name_of(file) for file in files if file)


def _resolved(identity: dict[str, Any]) -> dict[str, Any]:
    names = ("gamma", "temperature", "steps", "layers", "preset", "adain", "inject")
    return {name: identity[name] for name in names if name in identity}


def _tiles(tally: Tally, summary: dict[str, Any]) -> list[Tile]:
    session = summary.get("session") or {}
    part = session.get("done", 0) + session.get("failed", 0) < tally.done + tally.failed
    hint = "in the last session" if session and part else ""
    rate, calls = session.get("pairs_per_second"), session.get("unet_evaluations")
    seconds = session.get("seconds")
    return [
        Tile("planned", f"{tally.planned:,}", "pairs"),
        Tile("done", f"{tally.done:,}", _percent(tally.done, tally.planned)),
        Tile("failed", f"{tally.failed:,}", tone="bad" if tally.failed else ""),
        Tile("to do", f"{tally.missing:,}", tone="wait" if tally.missing else ""),
        Tile("throughput", f"{rate:.3g}" if rate else "–", "pairs/s" if rate else ""),
        Tile("time", duration(seconds) if seconds else "–", hint),
        Tile("UNet evaluations", f"{calls:,.0f}" if calls else "–", hint),
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else ""


def _number(value: Any) -> str | None:
    return f"{value:g}" if isinstance(value, (int, float)) else None


def _control(params: dict[str, Any], name: str) -> str | None:
    """A number, or the text of a schedule, range or list."""
    text = params.get(f"{name}_schedule") or params.get(name)
    return text if isinstance(text, str) else _number(params.get(name))


def _unless(value: Any, idle: float) -> str | None:
    return None if value == idle else _number(value)


def _share(value: Any) -> str | None:
    """A share between 0 and 1, or a switch."""
    return _number(value) if isinstance(value, float) and 0 < value < 1 else _switch(value)


def _switch(value: Any) -> str | None:
    return None if value is None else ("on" if value else "off")


def _ranges(layers: list[int]) -> str:
    """[6, 7, 8, 11] as '6–8, 11'."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
