"""The method with one part at a time switched off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import StyleParams
from styleid_ray.errors import ConfigError

FULL = "full"
WITHOUT_ADAIN = "without AdaIN"
WITHOUT_INJECTION = "without injection"
_PARTS: Mapping[str, Mapping[str, Any]] = {
    FULL: {},
    WITHOUT_ADAIN: {"adain": False},
    WITHOUT_INJECTION: {"inject": False},
    "without query preservation": {"gamma": 0.0},
    "without temperature": {"temperature": 1.0},
}


@dataclass(frozen=True)
class Variant:
    """The method with some parameters changed."""

    name: str
    changed: Mapping[str, Any]
    """Parameters that differ from the full method's."""
    params: StyleParams

    @property
    def label(self) -> str:
        """The name, and the parameters that differ."""
        values = ", ".join(f"{name} {_word(value)}" for name, value in self.changed.items())
        return f"{self.name} ({values})" if values else self.name


def ablations(params: StyleParams) -> list[Variant]:
    """The full method and its ablations, without those that change nothing.

    Raises:
        ConfigError: the parameters switch AdaIN off, which is one of the ablations, or draw γ or
            temperature per pair.
    """
    if not params.adain:
        raise ConfigError(
            "--adain 0: an analysis compares the pictures with and without it; leave it out, or "
            "give a share above 0"
        )
    full = params.resolved()
    variants: list[Variant] = []
    for name, changed in _PARTS.items():
        own = params.model_copy(update=dict(changed))
        if name == FULL or own.resolved() != full:
            variants.append(Variant(name, changed, own))
    return variants


def evaluations(variants: Sequence[Variant]) -> int:
    """UNet evaluations of all variants of one pair: one sampling per variant, two inversions, and
    two more for the variant without injection, whose inversions keep no features."""
    params = [variant.params.resolved() for variant in variants]
    inversions = {p.layers if p.inject else (): 2 * p.inversion_evaluations for p in params}
    return sum(inversions.values()) + sum(p.sampling_evaluations for p in params)


def _word(value: bool | float) -> str:
    return "off" if value is False else f"{value:g}"
