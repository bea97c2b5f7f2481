"""The items of an export: finished shards of a run, and originals between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

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
    """What one task exports: a shard's pictures, or some originals."""

    number: int
    pictures: int
    part: str = ""
    """Part of the plan that the shard is in."""
    shard: str = ""
    state: str = ""
    """That of the shard, as `ShardState` has it."""
    originals: tuple[tuple[str, str | None, str], ...] = ()
    """Key, place and split of each."""

    def name(self, made: str) -> str:
        """A name that is another one when something of the item is.

        Args:
            made: digest of how the export is made.
        """
        facts = asdict(self)
        if not self.state:  # keeps the names of earlier exports
            del facts["state"]
        return f"{self.number:06d}-{digest([made, facts])}"


def items_of(tally: Tally, originals: Source, rejected: Rejected) -> Iterator[Item]:
    """The items of an export, in order: shards as in the plan, then originals."""
    number = 0
    for part, shards in tally.parts.items():
        for shard, pairs in shards.items():
            if shard not in tally.finished:
                continue
            done = pairs - len(tally.failures.ids.get(shard, ())) - rejected.left_out(shard)
            if done:
                yield Item(number, done, part, shard, rejected.shards[shard].state)
                number += 1
    for start in range(0, len(originals.keys), _ORIGINALS):
        some = slice(start, start + _ORIGINALS)
        keys = list(originals.keys[some])
        columns = [
            [None] * len(keys) if column is None else list(column[some])
            for column in (originals.places, originals.splits)
        ]
        rows = zip(keys, columns[0], (split or "" for split in columns[1]), strict=True)
        yield Item(number, len(keys), originals=tuple(rows))
        number += 1


def mixed_in(contents: Contents, ratio: float | None) -> Source:
    """The originals of an export, at most one for each content that has a picture.

    Args:
        contents: of the run.
        ratio: stylised pictures per original; None for no originals.

    Of a content with fewer pictures than that, the original is taken with the probability that
    makes the ratio hold, by a hash of its key.
    """
    if ratio is None:
        return contents.source.only(np.zeros(len(contents.made), bool))
    chance = contents.made / ratio
    return contents.source.only(np.array([_uniform(k) for k in contents.source.keys]) < chance)


def _uniform(key: str) -> float:
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=b"mix").digest()
    return int.from_bytes(hashed) / 2**64


def counts(items: list[Item]) -> dict[str, Any]:
    """Pictures of an export by kind."""
    return {
        "stylised": sum(item.pictures for item in items if item.shard),
        "originals": sum(item.pictures for item in items if not item.shard),
    }
