"""A share of the styles, chosen by name: `0..0.8` for training, `0.8..1` held out."""

import re
from collections.abc import Iterable

import numpy as np

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning.hashing import hashes, uniform

_NUMBER = r"(\d+\.?\d*|\.\d+)"
_EXAMPLE = "write it as 0..0.8, of which 0.8..1 is the rest"


def style_share(config: SourceOptions) -> tuple[float, float] | None:
    """The interval of `--style-share`; None for all styles.

    Raises:
        ConfigError: it is no interval within 0..1, or the pairing takes none.
    """
    text = config.style_share
    if text is None:
        return None
    if config.pairing in ("zip", "table"):
        raise ConfigError(
            f"--style-share has no effect with --pairing {config.pairing}, which tells the style "
            "of each content: leave it out"
        )
    ends = re.fullmatch(rf"\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*", text)
    if ends is None:
        raise ConfigError(f"--style-share {text!r} is no interval: {_EXAMPLE}")
    low, high = map(float, ends.groups())
    if high > 1:
        raise ConfigError(f"--style-share {text}: must lie within 0..1: {_EXAMPLE}")
    if low >= high:
        raise ConfigError(f"--style-share {text} is upside down: write the smaller number first")
    return low, high


def with_share(styles: Source, share: tuple[float, float] | None) -> Source:
    """The styles in a share; raises SourceError when there are none."""
    if share is None:
        return styles
    kept = in_share(styles.keys, *share)
    if not kept.any():
        raise SourceError(
            f"--style-share {share[0]:g}..{share[1]:g} leaves none of the {len(styles.keys)} "
            "pictures of --style: widen it, or add styles"
        )
    return styles.only(kept)


def in_share(names: Iterable[str], low: float, high: float) -> np.ndarray:
    """Whether each name lies in the share, bool [N].

    A name's place, uniform between 0 and 1, depends on the name alone, neither on the seed nor on
    other names: a style never changes sides.
    """
    places = uniform(hashes((f"share {name}" for name in names), 0))
    return (low <= places) & (places < high)
