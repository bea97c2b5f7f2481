"""Styles drawn from the folder of the content's class, or from the folders of all other classes."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from styleid_ray.errors import SourceError
from styleid_ray.planning.choice import Choice, Indices
from styleid_ray.planning.draw import draw_styles
from styleid_ray.storage.locations import shown

_EXAMPLES = 3


def draw_by_class(choice: Choice) -> Indices:
    """Draw the styles of each content from its own class, or from all others, by a hash of its key.

    Raises:
        SourceError: contents of no class, or a class with too few styles.
    """
    assert choice.classes is not None
    members, folders = map(_by_class, choice.classes)
    other = choice.config.style_classes == "other"
    _check(choice, members, folders, other)
    # The styles of a class are consecutive, so that all other styles are all but one span.
    ordered = np.concatenate(list(folders.values()))
    firsts = np.cumsum([0, *map(len, folders.values())])
    spans = dict(zip(folders, pairwise(firsts.tolist()), strict=True))
    drawn = np.empty((len(choice.contents), choice.count), np.int32)
    for name, indices in members.items():
        first, end = spans.get(name, (0, 0))
        keys = choice.contents.take(pa.array(indices))
        number = len(ordered) - (end - first) if other else end - first
        own = draw_styles(keys, number, choice.count, choice.config.seed)
        own = np.where(own >= first, own + (end - first), own) if other else own + first
        drawn[indices] = np.sort(ordered[own], axis=1)
    contents = np.repeat(np.arange(len(drawn), dtype=np.int32), choice.count)
    return contents, drawn.reshape(-1), None


def _by_class(classes: np.ndarray) -> dict[str, np.ndarray]:
    """The ascending indices of each class by name, in the order of the names."""
    coded = pa.array(classes, pa.string()).dictionary_encode()
    codes = coded.indices.to_numpy()
    names = coded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    members = np.split(np.argsort(codes, kind="stable"), ends)
    return dict(sorted(zip(names, members, strict=True), key=lambda one: one[0]))


def _check(
    choice: Choice, members: dict[str, np.ndarray], folders: dict[str, np.ndarray], other: bool
) -> None:
    if "" in members:
        first = choice.contents.take(pa.array(members[""][:_EXAMPLES]))
        count = len(members[""])
        raise SourceError(
            f"--pairing by-class: {count:,} contents have no class ({_some(first, count)}): put "
            "them into class folders below --content, or name a column with --class-column"
        )
    own = {name: len(folders.get(name, ())) for name in members}
    number = {name: len(choice.styles) - count if other else count for name, count in own.items()}
    whose = "of other classes" if other else "of their own"
    if empty := [name for name, count in number.items() if not count]:
        remedy = (
            "add styles in folders of other names"
            if other
            else "make a folder of the same name below --style, or use --style-classes other"
        )
        raise SourceError(
            f"--pairing by-class: {len(empty)} classes have no styles {whose}{choice.suffix} "
            f"({_some(empty, len(empty))}): {remedy}"
        )
    if few := [f"{name}: {count}" for name, count in number.items() if count < choice.count]:
        raise SourceError(
            f"--styles-per-content {choice.count}: {len(few)} classes have fewer styles {whose}"
            f"{choice.suffix} ({_some(few, len(few))}): ask for at most "
            f"{min(number.values())}, or add styles"
        )


def _some(names: Sequence[str], count: int) -> str:
    first = ", ".join(shown(name)[:100] for name in list(names[:_EXAMPLES]))
    return first + (", …" if count > _EXAMPLES else "")
