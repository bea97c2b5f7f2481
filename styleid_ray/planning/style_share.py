"""A share of the styles, chosen by name: `0..0.8` for training, `0.8..1` held out."""

from collections.abc import Iterable

import numpy as np

from styleid_ray.config.sources import parse_share
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.planning.hashing import hashes, uniform


def with_share(styles: Source, share: str | None) -> Source:
    """The styles in a share of `parse_share`; raises SourceError when there are none."""
    if share is None:
        return styles
    kept = in_share(styles.keys, *parse_share(share))
    if not kept.any():
        raise SourceError(
            f"--style-share {share} leaves none of the {len(styles.keys)} pictures of --style: "
            "widen it, or add styles"
        )
    return styles.only(kept)


def in_share(names: Iterable[str], low: float, high: float) -> np.ndarray:
    """Whether each name lies in the share, bool [N].

    A name's place, uniform between 0 and 1, depends on the name alone, neither on the seed nor on
    other names: a style never changes sides.
    """
    places = uniform(hashes((f"share {name}" for name in names), 0))
    return (low <= places) & (places < high)
