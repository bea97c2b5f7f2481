"""Options that do not go together: each check yields a message per fault, with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from styleid_ray.config.model import DEMO_MODEL, PAPER_MODEL
from styleid_ray.config.pictures import PIXEL_METHODS
from styleid_ray.config.tags import flag, tag_of
from styleid_ray.controls import Range
from styleid_ray.errors import ConfigError

if TYPE_CHECKING:
    from styleid_ray.config.job import JobConfig

_MAY_BE_EMPTY = ("address", "content", "style")
"""Texts that are treated as missing when they are empty."""
_NAMED = 2
"""The most pairings that a remedy lists."""


def faults(job: JobConfig) -> Iterator[str]:
    """What is wrong with a job whose options are valid one by one."""
    yield from _empty_texts(job)
    yield from _options_of_other_methods(job)
    yield from _schedules(job)
    yield from _variants(job)
    yield from _pairing(job)
    yield from _companions(job)


def _given(job: JobConfig) -> list[str]:
    fields = type(job).model_fields
    return [name for name in fields if getattr(job, name) != fields[name].default]


def _empty_texts(job: JobConfig) -> Iterator[str]:
    """An empty text is what a shell makes of a variable that is not set."""
    for name in _given(job):
        if getattr(job, name) == "" and name not in _MAY_BE_EMPTY:
            yield f"{flag(name)} is empty: give it a value, or leave it out"


def _options_of_other_methods(job: JobConfig) -> Iterator[str]:
    idle = [name for name in _given(job) if name in job.without_effect]
    if job.method in PIXEL_METHODS:
        idle += ["device"] if job.device == "cuda" else []
        idle += ["num_gpus_per_actor"] if job.num_gpus_per_actor else []
    if idle:
        effect, them = ("have", "them") if len(idle) > 1 else ("has", "it")
        yield (
            f"{', '.join(map(flag, idle))} {effect} no effect with --method {job.method}: leave "
            f"{them} out"
        )


def _schedules(job: JobConfig) -> Iterator[str]:
    params = job.style_params
    # Other models may have other layers, all of which are named: that shows later.
    known = job.layers or job.model in (PAPER_MODEL, DEMO_MODEL)
    try:
        params.resolved(None if known else params.named_layers)
    except ConfigError as e:
        yield f"--{e}"


def _variants(job: JobConfig) -> Iterator[str]:
    if not job.inject and job.draws:
        yield f"{' and '.join(map(flag, job.draws))}: no effect without injection"
    if job.variants is None or job.variants == job.combinations:
        return
    if job.method != "styleid":
        yield f"--variants has no effect with --method {job.method}, which draws nothing"
        return
    if job.variants < job.combinations:
        yield (
            f"--variants {job.variants} is less than the {job.combinations} combinations of the "
            "lists: leave it out, or give more"
        )
    elif not any(isinstance(draw, Range) for draw in job.draws.values()):
        yield (
            f"--variants {job.variants} would give the same picture again: give --gamma or "
            "--temperature a range to draw from, such as 0.5..0.9"
        )


def _pairing(job: JobConfig) -> Iterator[str]:
    for name in _given(job):
        pairings = tag_of(type(job).model_fields[name]).pairings
        if pairings and job.pairing not in pairings:
            few = f"use it with --pairing {' or '.join(pairings)}"
            remedy = few if len(pairings) <= _NAMED else "leave it out"
            yield f"{flag(name)} has no effect with --pairing {job.pairing}: {remedy}"
    if job.pairing == "table":
        if not job.table:
            yield "--pairing table needs --table: a CSV, JSONL or Parquet of pairs, or JSON"
        return
    for name in ("content", "style"):
        if not getattr(job, name):
            yield f"{flag(name)} is missing: a folder, file or URL of pictures"


def _companions(job: JobConfig) -> Iterator[str]:
    """Options that need others."""
    if job.reuse and job.styles_per_content == 1:
        yield (
            "--reuse needs --styles-per-content of at least 2: with one style there is nothing to "
            "share"
        )
    if job.detail_luminance and not job.detail:
        yield "--detail-luminance needs --detail above 0"
    if "log_samples" in _given(job) and not job.log_to:
        yield "--log-samples has no effect without --log-to: leave it out"
    if job.push_to and not job.export:
        yield "--push-to needs --export: name the format to publish"
    if job.annotations and job.content_format not in ("auto", "coco"):
        yield (
            f"--annotations are COCO's, but --content-format is {job.content_format}: leave one of "
            "them out"
        )
