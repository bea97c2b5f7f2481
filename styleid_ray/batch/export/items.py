"""The items of an export: finished shards of a run, then originals."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, zip_longest

import numpy as np

from styleid_ray.batch.export.contents import Contents
from styleid_ray.batch.export.rejected import Rejected
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.config import digest
from styleid_ray.datasets.source import Source

_ORIGINALS = 200
"""Originals of one item."""


@dataclass(frozen=True)
class Item:
    """The work of one task: a shard's pictures, or some originals."""

    number: int
    pictures: int
    part: str = ""
    """Part of the plan that contains the shard."""
    shard: str = ""
    state: str = ""
    """`ShardState.state` of the shard."""
    originals: tuple[tuple[str, str | None, str], ...] = ()
    """Key, place and split of each."""

    def name(self, made: str) -> str:
        """A name that changes with the item, and with `made`, the digest of how the export is
        made."""
        return f"{self.number:06d}-{digest([made, asdict(self)])}"


def items_of(tally: Tally, originals: Source, rejected: Rejected) -> Iterator[Item]:
    """The items of an export, in order: shards as in the plan, then originals."""
    numbers = count()
    for part, shards in tally.parts.items():
        for shard, pairs in shards.items():
            if shard not in tally.finished:
                continue
            done = pairs - len(tally.failures.ids.get(shard, ())) - rejected.left_out(shard)
            if done:
                yield Item(next(numbers), done, part, shard, rejected.shards[shard].state)
    for start in range(0, len(originals.keys), _ORIGINALS):
        keys, places, splits = (
            column[start : start + _ORIGINALS] if column is not None else ()
            for column in (originals.keys, originals.places, originals.splits)
        )
        rows = tuple((k, p, s or "") for k, p, s in zip_longest(keys, places, splits))
        yield Item(next(numbers), len(keys), originals=rows)


def mixed_in(contents: Contents, ratio: float | None) -> Source:
    """The originals of an export, at most one per content with a picture.

    `ratio` is the number of stylised pictures per original, None for no originals. The original of
    a content with fewer pictures is taken with the probability that gives the ratio, by a hash of
    its key.
    """
    if ratio is None:
        return contents.source.only(np.zeros(len(contents.made), bool))
    chance = contents.made / ratio
    return contents.source.only(np.array([_uniform(k) for k in contents.source.keys]) < chance)


def _uniform(key: str) -> float:
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=b"mix").digest()
    return int.from_bytes(hashed) / 2**64
