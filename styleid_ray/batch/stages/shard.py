"""A shard on its way through the pipeline: one row of the Ray dataset.

Its tables travel as serialised Arrow bytes, so any passed-through column keeps its type and Ray
never has to guess a schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import pyarrow as pa

from styleid_ray.quality.columns import quality_type

QUALITY: pa.StructType = quality_type()
"""The column `quality` of the dataset."""
_SIZES = [(name, pa.int32()) for name in ("width", "height", "source_width", "source_height")]
_FAULT = [(name, pa.string()) for name in ("stage", "error", "message")]
PICTURES = pa.schema(
    [
        ("role", pa.string()),  # content or style; mask or label_map of a content
        ("key", pa.string()),  # of a mask, its content's
        ("pixels", pa.binary()),  # height x width x 3 bytes, of a mask x 1; null when it failed
        *_SIZES,
        *_FAULT,
    ]
)
RESULTS = pa.schema(
    [
        ("pixels", pa.binary()),  # row i is pair i's picture; null when it failed
        *_SIZES,
        ("seconds", pa.float64()),
        ("quality", QUALITY),
        *_FAULT,
    ]
)


@dataclass(frozen=True)
class Shard:
    """Pairs of the plan, and what the stages have made of them so far."""

    name: str
    pairs: pa.Table
    """Rows of the plan; of several shards in a retry."""
    pictures: pa.Table = field(default_factory=PICTURES.empty_table)
    """The loaded pictures, schema `PICTURES`."""
    results: pa.Table = field(default_factory=RESULTS.empty_table)
    """One row per pair in the order of `pairs`, schema `RESULTS`."""
    measures: dict[str, float] = field(default_factory=dict)
    """Seconds per stage and counts, for the summary."""
    notes: tuple[str, ...] = ()
    """Lines for the user: the chosen feature store, a halved batch."""
    retry: bool = False
    """Whether the pairs are of finished shards, whose files receive the new rows."""
    remake: bool = False
    """In a retry, whether the pairs have rows, which the new ones replace; else they failed."""
    handed_back: bool = False
    """Whether no actor could work on it, so that it is still to be done."""

    def to_block(self) -> pa.Table:
        """The shard as a Ray block of one row."""
        tables = {name: _packed(getattr(self, name)) for name in _TABLES}
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _TABLES}
        return pa.table({"facts": [json.dumps(facts)], **tables})

    def measured(self, **measures: float) -> Shard:
        """The same shard with more measures."""
        return replace(self, measures={**self.measures, **measures})


_TABLES = ("pairs", "pictures", "results")


@dataclass(frozen=True)
class Done:
    """Report of a committed shard."""

    shard: str
    measures: dict[str, float]
    """Those of the shard, `done` and `failed` pairs, `commit_seconds`, `bytes_out`."""
    notes: tuple[str, ...] = ()
    handed_back: tuple[str, ...] = ()
    """Ids of pairs that are still to be done: nothing was committed."""
    failed: tuple[Mapping[str, str], ...] = ()
    """`pair_id`, `stage`, `error` and `message` of pairs that could not be remade."""

    def to_block(self) -> pa.Table:
        """The report as a Ray block of one row."""
        return pa.table({"facts": [json.dumps(asdict(self))]})


def done_in(block: pa.Table) -> Iterator[Done]:
    """The reports in a Ray block."""
    for facts in block["facts"]:
        yield Done(**_loaded(facts))


def shards_in(block: pa.Table) -> Iterator[Shard]:
    """The shards of a Ray block."""
    for row in range(block.num_rows):
        tables = {name: _unpacked(block[name][row]) for name in _TABLES}
        yield Shard(**_loaded(block["facts"][row]), **tables)


def _loaded(facts: pa.Scalar) -> dict[str, Any]:
    values = json.loads(facts.as_py())
    return {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}


def _packed(table: pa.Table) -> pa.Array:
    """A table as one value of an Arrow column, copied only once, into a buffer of its exact size:
    pictures take most of a worker's memory."""
    measured = pa.MockOutputStream()
    _write(table, measured)
    buffer = pa.allocate_buffer(measured.size())
    _write(table, pa.FixedSizeBufferWriter(buffer))
    offsets = pa.array([0, buffer.size], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, buffer])


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _unpacked(scalar: pa.Scalar) -> pa.Table:
    return pa.ipc.open_stream(scalar.as_buffer()).read_all()
