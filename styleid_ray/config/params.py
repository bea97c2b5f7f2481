"""The parameters of StyleID."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from styleid_ray.config.tags import Options, Tag
from styleid_ray.controls import Schedule, numbers, parse, schedule
from styleid_ray.errors import ConfigError

Preset = Literal["paper", "scheduled", "diffusers"]
# Far above any model's; a range of layers is written out before it is checked.
_LAYERS = 1000

_PRESETS: dict[Preset, dict[str, Any]] = {
    "paper": {"steps": 50, "gamma": 0.75, "temperature": 1.5, "layers": (6, 7, 8, 9, 10, 11)},
    "diffusers": {"steps": 20, "gamma": 0.75, "temperature": 1.5, "layers": (7, 8, 9, 10, 11)},
}
_PRESETS["scheduled"] = _PRESETS["paper"] | {"gamma": "cosine:0.75:0.375"}
BOUNDS = {"gamma": (0.0, 1.0, False), "temperature": (0.0, 10.0, True)}
"""Least and most, and whether the least itself is excluded."""


class StyleParams(Options):
    """The parameters of StyleID. What is None takes the preset's own value."""

    group = "style"

    preset: Annotated[Preset, Tag("picture", needs="styleid", usual=True)] = "paper"
    """Step schedule and defaults: the paper's (50 steps, layers 6-11); scheduled, the same with
    gamma falling from 0.75 to 0.375; or those of the authors' diffusers port (20 steps, layers
    7-11)."""
    steps: Annotated[
        Annotated[int, Field(ge=2, le=500)] | None, Tag("picture", needs="styleid", usual=True)
    ] = None
    """DDIM steps of inversion and of sampling, 2 to 500."""
    gamma: Annotated[
        float | str | None,
        Tag("picture", needs="styleid", usual=True, written="NUMBER|SCHEDULE|RANGE|LIST"),
    ] = None
    """Query preservation: 1 keeps the content's queries (layout), 0 the stylised ones (style). A
    number; a schedule over the sampling steps, linear:0.9:0.5 or cosine:0.75:0.375; either per
    layer, 6-8=0.9,9-11=0.5; a range to draw from per pair, 0.5..0.9; or a list, 0.3,0.6, which
    gives one variant per value."""
    temperature: Annotated[
        float | str | None,
        Tag("picture", needs="styleid", usual=True, written="NUMBER|SCHEDULE|RANGE|LIST"),
    ] = None
    """Attention temperature: factor on the attention logits, above 1 sharpens. Written as
    --gamma."""
    layers: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=_LAYERS)], ...] | None,
        Tag("picture", needs="styleid", written="6-11"),
    ] = None
    """Decoder self-attention layers that get the style's keys and values, as 6-11 or 6,7,8. Stable
    Diffusion 1.x and 2.x have 3-11; XL has 0-35, by default 30-35."""
    adain: Annotated[bool | float, Tag("picture", needs="styleid", written="0..1")] = True
    """Share, 0 to 1, of the style's channel statistics in the initial latent (AdaIN): 1 or true
    takes all of them, 0 or false keeps the content's own."""
    low_frequency: Annotated[
        float, Field(ge=0, le=2), Tag("picture", needs="styleid", only_if_used=True)
    ] = 1.0
    """Factor on the low frequencies of the content's inverted latent, before AdaIN (StyleSSP):
    below 1 favours the content's edges over its large shapes."""
    inject: Annotated[bool, Tag("picture", needs="styleid")] = True
    """Inject the style's keys and values into self-attention."""
    detail: Annotated[
        float, Field(ge=0, le=1), Tag("picture", needs="styleid", only_if_used=True)
    ] = 0.0
    """Share of the content's fine detail to add back that the autoencoder loses (small objects,
    lettering): content minus its own reconstruction."""
    detail_luminance: Annotated[bool, Tag("picture", needs="styleid", only_if_used=True)] = False
    """With --detail: add back its luminance alone, so that the style keeps its colours."""

    @field_validator("gamma", "temperature", mode="before")
    @classmethod
    def _control(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        if isinstance(value, (list, tuple)):  # of a job file
            value = ",".join(map(str, value))
        if isinstance(value, (bool, dict)):
            raise ValueError('must be a number or a text such as "6-8=0.9,9-11=0.5"')
        try:
            control = parse(value)
        except (TypeError, ValueError) as e:
            raise ValueError(str(e)) from None
        low, high, above = BOUNDS[info.field_name or ""]
        for number in numbers(control):
            if not low <= number <= high or (above and number == low):
                least = f"greater than {'' if above else 'or equal to '}{low:g}"
                raise ValueError(f"must be {least} and less than or equal to {high:g}")
        constant = control.constant if isinstance(control, Schedule) else None
        return str(control) if constant is None else constant

    @field_validator("adain", mode="before")
    @classmethod
    def _adain_strength(cls, value: Any) -> Any:
        words = {"true": True, "on": True, "false": False, "off": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        try:
            share = float(value)
        except (TypeError, ValueError):
            raise ValueError("must be a share from 0 to 1, true or false") from None
        if not 0 <= share <= 1:
            raise ValueError("must be a share from 0 to 1")
        return bool(share) if share in (0, 1) else share

    @field_validator("layers", mode="before")
    @classmethod
    def _layers_from_text(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if not isinstance(value, str):
            return value
        layers: list[Any] = []
        for part in value.split(","):
            first, dash, last = part.strip().partition("-")
            if dash and first.isdecimal() and last.isdecimal():
                if int(last) >= _LAYERS:
                    raise ValueError(f"the largest layer must be below {_LAYERS}")
                layers += range(int(first), int(last) + 1)
            elif part.strip().isdecimal():
                layers.append(part.strip())
            else:
                raise ValueError("must be layers such as 6-11 or 6,7,8")
        return layers

    @field_validator("layers")
    @classmethod
    def _layers_sorted_once(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layers is None:
            return None
        if not layers:
            raise ValueError("name at least one layer, or switch injection off with --no-inject")
        if len(set(layers)) != len(layers):
            raise ValueError(f"a layer is named twice: {list(layers)}")
        return tuple(sorted(layers))

    @property
    def named_layers(self) -> tuple[int, ...] | None:
        """Layers that have values of their own; None where there are none."""
        values = (self.gamma, self.temperature)
        controls = [schedule(value) for value in values if value is not None]
        named = {n for control in controls for group, _ in control.groups for n in group or ()}
        return tuple(sorted(named)) or None

    def resolved(self, layers: tuple[int, ...] | None = None) -> ResolvedParams:
        """The same parameters with the preset's values in place of None.

        Args:
            layers: in place of the preset's, of a model whose layers are others.

        Raises:
            ConfigError: γ or temperature is drawn per pair, or its schedule does not suit the
                layers or steps.
        """
        chosen = {k: v for k, v in self.model_dump().items() if v is not None}
        of_model = {"layers": layers} if layers else {}
        resolved = ResolvedParams(**{**_PRESETS[self.preset], **of_model, **chosen})
        if resolved.inject:
            for name in BOUNDS:
                resolved.control(name)
        return resolved


class ResolvedParams(Options):
    """`StyleParams` in which every value is set."""

    preset: Preset
    steps: int
    gamma: float | str
    temperature: float | str
    layers: tuple[int, ...]
    adain: bool | float
    low_frequency: float
    inject: bool
    detail: float
    detail_luminance: bool

    def control(self, name: str) -> Schedule:
        """γ or temperature as a schedule over layers and steps; raises ConfigError as
        `StyleParams.resolved`."""
        value = getattr(self, name)
        try:
            control = schedule(value)
            control.check(self.layers, self.sampling_evaluations)
        except ValueError as e:
            raise ConfigError(f"{name} {value}: {e}") from None
        return control

    @property
    def inversion_evaluations(self) -> int:
        """UNet evaluations that invert one picture."""
        return self.steps

    @property
    def sampling_evaluations(self) -> int:
        """UNet evaluations that sample one pair: the paper's schedule skips its first step."""
        return self.steps - 1 if self.paper_steps else self.steps

    @property
    def paper_steps(self) -> bool:
        """Whether the steps are those of the paper's code, not of its diffusers port."""
        return self.preset != "diffusers"

    @property
    def uses_style(self) -> bool:
        """Whether the style has any part in the result (it has none with both switches off)."""
        return bool(self.adain) or self.inject
