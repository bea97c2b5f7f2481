"""Values of γ and temperature: a number, a schedule over steps and layers, or a draw per pair.

0.75                          the same everywhere
linear:0.9:0.5                from 0.9 at the first sampling step to 0.5 at the last
cosine:0.75:0.375             the same along half a cosine wave
6-8=0.9,9-11=cosine:0.8:0.4   one value or schedule per group of layers
0.5..0.9                      drawn uniformly, once per pair
0.3,0.6                       swept: one variant per value
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Shape = Literal["linear", "cosine"]
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Ramp:
    """One value per sampling step, from `first` to `last`."""

    first: float
    last: float
    shape: Shape = "linear"

    def at(self, step: int, steps: int) -> float:
        """The value at step `step` of `steps`, counted from 0."""
        if self.first == self.last:
            return self.first
        way = step / (steps - 1)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.first + (self.last - self.first) * way

    def __str__(self) -> str:
        if self.first == self.last:
            return _text(self.first)
        return f"{self.shape}:{_text(self.first)}:{_text(self.last)}"


@dataclass(frozen=True)
class Schedule:
    """One value per layer and sampling step."""

    groups: tuple[tuple[frozenset[int] | None, Ramp], ...]
    """(layers, their ramp), or one ramp for all layers (None)."""

    def at(self, layer: int, step: int, steps: int) -> float:
        """The value in a layer at step `step` of `steps`, counted from 0."""
        ramp = next(ramp for layers, ramp in self.groups if layers is None or layer in layers)
        return ramp.at(step, steps)

    @property
    def constant(self) -> float | None:
        """The value for all layers and steps, or None if it varies."""
        (layers, ramp), *others = self.groups
        same = not others and layers is None and ramp.first == ramp.last
        return ramp.first if same else None

    @property
    def moves(self) -> bool:
        """Whether the value changes from step to step."""
        return any(ramp.first != ramp.last for _, ramp in self.groups)

    def check(self, layers: Iterable[int], steps: int) -> None:
        """Raises ValueError for a layer without a value, a value without a layer, or a schedule
        over a single step."""
        if self.moves and steps < 2:
            raise ValueError(
                "a schedule over steps needs at least two sampling steps: raise --steps, or give "
                "one value"
            )
        named = [layer for group, _ in self.groups for layer in group or ()]
        if not named:
            return
        layers = set(layers)
        if missing := sorted(layers - set(named)):
            raise ValueError(
                f"no value for {_layers(missing)}: add one, or leave it out of --layers"
            )
        if idle := sorted(set(named) - layers):
            raise ValueError(
                f"a value for {_layers(idle)}, where nothing is injected: add it to --layers, or "
                "drop the value"
            )

    def __str__(self) -> str:
        return ",".join(
            str(ramp) if layers is None else f"{_ranges(sorted(layers))}={ramp}"
            for layers, ramp in self.groups
        )


@dataclass(frozen=True)
class Range:
    """A value drawn uniformly from an interval for each pair."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{_text(self.low)}..{_text(self.high)}"


@dataclass(frozen=True)
class Sweep:
    """One variant per value."""

    values: tuple[float, ...]

    def __str__(self) -> str:
        return ",".join(map(_text, self.values))


def parse(value: float | str) -> Schedule | Range | Sweep:
    """The control that an option's value describes; raises ValueError for a wrong one."""
    if not isinstance(value, str):
        return Schedule(((None, Ramp(float(value), float(value))),))
    text = re.sub(r"\s+", "", value)
    if interval := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text):
        low, high = map(float, interval.groups())
        if low == high:
            raise ValueError(f"the range {text} is empty: give one number instead")
        if low > high:
            raise ValueError(f"the range {text} is reversed: write the smaller number first")
        return Range(low, high)
    parts = text.split(",")
    if "=" in text:
        return Schedule(_by_layer(parts))
    if len(parts) == 1:
        return Schedule(((None, _ramp(text)),))
    if not all(re.fullmatch(_NUMBER, part) for part in parts):
        raise ValueError("a list holds numbers alone, such as 0.3,0.6")
    values = tuple(map(float, parts))
    if len(set(values)) < len(values):
        raise ValueError("the list names a value twice")
    return Sweep(values)


def schedule(value: float | str) -> Schedule:
    """`parse` for a value that is not drawn per pair; raises ValueError for one that is."""
    control = parse(value)
    if not isinstance(control, Schedule):
        raise ValueError(
            "ranges and lists are drawn per pair and work only in jobs: give one value or schedule"
        )
    return control


def numbers(control: Schedule | Range | Sweep) -> list[float]:
    """The extreme values that a control can take."""
    match control:
        case Range(low, high):
            return [low, high]
        case Sweep(values):
            return list(values)
        case Schedule(groups):
            return [value for _, ramp in groups for value in (ramp.first, ramp.last)]


def _text(value: float) -> str:
    """The shortest text of a number that reads back as the same."""
    return repr(value).removesuffix(".0")


def _by_layer(parts: list[str]) -> tuple[tuple[frozenset[int], Ramp], ...]:
    groups: list[tuple[frozenset[int], Ramp]] = []
    for part in parts:
        layers, equals, value = part.partition("=")
        span = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", layers)
        if not equals or not span:
            raise ValueError("values per layer are written as 6-8=0.9,9-11=0.5")
        first, last = int(span[1]), int(span[2] or span[1])
        if first > last:
            raise ValueError(f"the layers {layers} are reversed: write the smaller number first")
        group = frozenset(range(first, last + 1))
        if any(group & other for other, _ in groups):
            raise ValueError(f"a layer of {layers} is named twice")
        groups.append((group, _ramp(value)))
    return tuple(sorted(groups, key=lambda one: min(one[0])))


def _ramp(text: str) -> Ramp:
    shape, *ends = text.split(":")
    if not ends and re.fullmatch(_NUMBER, text):
        return Ramp(float(text), float(text))
    if shape in get_args(Shape) and len(ends) == 2 and all(re.fullmatch(_NUMBER, x) for x in ends):
        return Ramp(float(ends[0]), float(ends[1]), shape)  # pyright: ignore[reportArgumentType]
    raise ValueError(
        "must be a number such as 0.75, a schedule such as cosine:0.75:0.375 or 6-8=0.9,9-11=0.5, "
        "a range such as 0.5..0.9, or a list such as 0.3,0.6"
    )


def _ranges(layers: list[int]) -> str:
    return f"{layers[0]}-{layers[-1]}" if len(layers) > 1 else str(layers[0])


def _layers(layers: list[int]) -> str:
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
