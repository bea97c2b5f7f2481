"""One job: every option."""

from __future__ import annotations

import math
from typing import Any

from pydantic import model_validator

from styleid_ray.config.combinations import faults
from styleid_ray.config.machine import ClusterOptions, EngineOptions, ShardOptions
from styleid_ray.config.model import ModelOptions
from styleid_ray.config.output import OutputOptions
from styleid_ray.config.params import BOUNDS, ResolvedParams, StyleParams
from styleid_ray.config.pictures import (
    PAPER_SIZE,
    PIXEL_METHODS,
    Method,
    MethodOptions,
    PictureOptions,
)
from styleid_ray.config.run import RunOptions
from styleid_ray.config.sources import DRAWING, SourceOptions
from styleid_ray.config.tags import Changes, Options, Tag, digest, tag_of
from styleid_ray.controls import Range, Schedule, Sweep, parse


class JobConfig(
    RunOptions,
    ClusterOptions,
    EngineOptions,
    ShardOptions,
    ModelOptions,
    StyleParams,
    MethodOptions,
    PictureOptions,
    OutputOptions,
    SourceOptions,
):
    """One stylisation job: every option of `styleid-ray stylize` and every key of a job file."""

    @model_validator(mode="after")
    def _options_go_together(self) -> JobConfig:
        for fault in faults(self):
            raise ValueError(fault)
        return self

    @property
    def without_effect(self) -> frozenset[str]:
        """Options that the job's method ignores."""
        return without_effect(self.method)

    @property
    def on_cpu(self) -> bool:
        """Whether the job takes no GPU, whatever the cluster has."""
        return self.device == "cpu" or self.method in PIXEL_METHODS

    @property
    def unet_params(self) -> ResolvedParams | None:
        """The parameters by which the UNet is evaluated; None with a method that has no use for
        it."""
        return self.style_params.resolved() if self.method == "styleid" else None

    @property
    def draws(self) -> dict[str, Range | Sweep]:
        """Which of γ and temperature are drawn per pair, and from what."""
        given = {name: getattr(self, name) for name in BOUNDS}
        controls = {name: parse(value) for name, value in given.items() if value is not None}
        return {name: x for name, x in controls.items() if not isinstance(x, Schedule)}

    @property
    def combinations(self) -> int:
        """Combinations of the values that are swept."""
        return math.prod(len(x.values) for x in self.draws.values() if isinstance(x, Sweep))

    @property
    def style_params(self) -> StyleParams:
        """The part of the options that the algorithm takes; for what is drawn, each pair has its
        own value."""
        given = {name: getattr(self, name) for name in StyleParams.model_fields}
        return StyleParams.model_validate(given | dict.fromkeys(self.draws))

    @property
    def working_size(self) -> int:
        """`size`, or the paper's where it is left open and no model has been looked at."""
        return self.size or PAPER_SIZE

    @property
    def style_size(self) -> int:
        """Working size of the styles: all windows of a content share them whole."""
        return min(self.working_size, self.tile or self.working_size)

    def identity(self, *changing: Changes) -> dict[str, Any]:
        """The options that change the output, resolved, without those that have no effect in this
        job; of two runs with the same identity and pairs, each can resume the other.

        Args:
            changing: only what changes this; by default the picture, the pairs or the encoding.

        Where the sources lie is no part of it, so that a bucket can move, nor is the revision of
        the model, for which the model's fingerprint stands.
        """
        changing = changing or ("picture", "pairs", "encoding")
        names = {name for name in type(self).model_fields if changes(name) in changing}
        values = self.model_dump(mode="json", include=names - {"revision"} - self._idle)
        resolved = self.style_params.resolved().model_dump(mode="json")
        values |= {"size": self.working_size} if "size" in values else {}
        # A value that is drawn is part of its pair.
        drawn = {name for name in self.draws if name in values and "pairs" not in changing}
        values |= {name: resolved[name] for name in resolved if name in values.keys() - self.draws}
        if self.masks and "picture" in changing:
            values["masks"] = True
        return {name: value for name, value in values.items() if name not in drawn}

    @property
    def _idle(self) -> set[str]:
        """Options that have no effect beside the others."""
        fields = type(self).model_fields
        idle = {name for name in ADDED if getattr(self, name) == fields[name].default}
        idle |= self.without_effect
        if self.variants == self.combinations:
            idle |= {"variants"}
        if self.pairing != "random":
            idle |= {"reuse"}
        if self.pairing not in DRAWING:
            idle |= {"styles_per_content"}
        if self.pairing not in ("random", "balanced", "by-class") and not self.draws:
            idle |= {"seed"}
        if self.picture_format == "png":
            idle |= {"quality"}
        if not self.inject:
            idle |= {"gamma", "temperature", "layers", "feature_dtype"}
        return idle

    def fingerprint(self) -> str:
        """Hash of `identity()`: 16 hexadecimal digits."""
        return digest(self.identity())


TAGS: dict[str, Tag] = {name: tag_of(field) for name, field in JobConfig.model_fields.items()}
"""The tag of each option."""
ADDED = tuple(name for name, tag in TAGS.items() if tag.only_if_used)
"""Options that a run made without them need not know of: at their defaults they change nothing."""


def group_of(option: str) -> str:
    """The heading of an option: that of the group that defines it."""
    groups = [x for x in reversed(JobConfig.__mro__) if issubclass(x, Options)]
    return next(x.group for x in groups if option in x.model_fields)


def changes(option: str) -> Changes:
    """What an option changes."""
    return TAGS[option].changes


def without_effect(method: Method) -> frozenset[str]:
    """Options that a method ignores, whatever the others are."""
    if method == "styleid":
        return frozenset()
    unmet = {"styleid", "model"} if method in PIXEL_METHODS else {"styleid"}
    return frozenset(name for name, tag in TAGS.items() if tag.needs in unmet)
