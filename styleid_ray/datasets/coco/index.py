"""The images of a COCO annotation file by their ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from styleid_ray.datasets.keys import Keys


@dataclass(frozen=True)
class ImageIndex:
    """The images of an annotation file."""

    ids: np.ndarray
    """Their numbers (`number_of`), int64 [I]."""
    names: Keys
    """The file_name of each."""

    @cached_property
    def order(self) -> np.ndarray:
        """Indices of the images in the order of their ids, int64 [I]."""
        return np.argsort(self.ids, kind="stable")

    @cached_property
    def sorted_ids(self) -> np.ndarray:
        """The ids in order, int64 [I]."""
        return self.ids[self.order]

    def indices(self, ids: np.ndarray) -> np.ndarray:
        """Which image each id stands for, int64 [N]; -1 for an id of none."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(self.sorted_ids, ids), len(self.ids) - 1)
        return np.where(self.sorted_ids[at] == ids, self.order[at], -1)


def number_of(value: Any) -> int | None:
    """A number that stands for an id, which is a whole number or a text; None for anything else."""
    if isinstance(value, str):
        return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), signed=True)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
