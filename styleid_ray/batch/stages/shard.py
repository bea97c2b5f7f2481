"""A shard on its way through the pipeline: one row of the Ray dataset.

Its parts are Arrow tables, carried as serialised bytes so that any passed-through column keeps its
type and Ray never has to guess a schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from styleid_ray.quality.columns import quality_type

QUALITY: pa.StructType = quality_type()
"""The column `quality` of the dataset."""
PICTURES = pa.schema(
    [
        ("role", pa.string()),  # content or style; mask or label_map of a content
        ("key", pa.string()),  # of a mask its content's
        ("pixels", pa.binary()),  # height x width x 3 bytes, of a mask x 1; null when it failed
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
    ]
)
RESULTS = pa.schema(
    [
        ("pixels", pa.binary()),  # row i is pair i's picture; null when it failed
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("seconds", pa.float64()),
        ("quality", QUALITY),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
    ]
)


@dataclass(frozen=True)
class Shard:
    """Pairs of the plan, and what the stages so far have made of them."""

    name: str
    pairs: pa.Table
    """Rows of the plan; those of several shards in a retry."""
    pictures: pa.Table = field(default_factory=PICTURES.empty_table)
    """The loaded pictures, schema `PICTURES`."""
    results: pa.Table = field(default_factory=RESULTS.empty_table)
    """One row a pair in the order of `pairs`, schema `RESULTS`."""
    measures: dict[str, float] = field(default_factory=dict)
    """Seconds by stage and counts, for the summary."""
    notes: tuple[str, ...] = ()
    """What a person should hear of: the feature store that was chosen, a batch that was halved."""
    retry: bool = False
    """Whether these are pairs of finished shards, whose files get the new rows."""
    remake: bool = False
    """Whether these have rows already, which the new ones replace; else they failed."""
    handed_back: bool = False
    """Whether no actor could work on it, so that it is still to be done."""

    def to_block(self) -> pa.Table:
        """The shard as a Ray block of one row."""
        return pa.table(
            {
                "shard": [self.name],
                "pairs": _packed(self.pairs),
                "pictures": _packed(self.pictures),
                "results": _packed(self.results),
                "measures": [json.dumps(self.measures)],
                "notes": [json.dumps(self.notes)],
                "retry": [self.retry],
                "remake": [self.remake],
                "handed_back": [self.handed_back],
            }
        )

    def measured(self, **measures: float) -> Shard:
        """The same shard with more measures."""
        return replace(self, measures={**self.measures, **measures})


@dataclass(frozen=True)
class Done:
    """Report of a shard that was committed."""

    shard: str
    measures: dict[str, float]
    """Those of the shard, `done` and `failed` pairs, `commit_seconds`, `bytes_out`."""
    notes: tuple[str, ...]
    handed_back: tuple[str, ...] = ()
    """Ids of pairs that are still to be done: nothing was committed."""
    failed: tuple[Mapping[str, str], ...] = ()
    """`pair_id`, `stage`, `error` and `message` of pairs that could not be made anew."""

    def to_block(self) -> pa.Table:
        """The same as a Ray block of one row."""
        return pa.table(
            {
                "shard": [self.shard],
                "measures": [json.dumps(self.measures)],
                "notes": [json.dumps(self.notes)],
                "handed_back": [json.dumps(self.handed_back)],
                "failed": [json.dumps(self.failed)],
            }
        )


def done_in(block: pa.Table) -> Iterator[Done]:
    """The reports in a Ray block."""
    for row in block.to_pylist():
        names = ("measures", "notes", "handed_back", "failed")
        measures, *lists = (json.loads(row[name]) for name in names)
        yield Done(row["shard"], measures, *map(tuple, lists))


def shards_in(block: pa.Table) -> Iterator[Shard]:
    """The shards of a Ray block."""
    for row in range(block.num_rows):
        name, pairs, pictures, results, measures, notes, retry, remake, handed_back = (
            block.column(name)[row]
            for name in (
                *("shard", "pairs", "pictures", "results"),
                *("measures", "notes", "retry", "remake", "handed_back"),
            )
        )
        yield Shard(
            name.as_py(),
            _unpack(pairs),
            _unpack(pictures),
            _unpack(results),
            json.loads(measures.as_py()),
            tuple(json.loads(notes.as_py())),
            retry.as_py(),
            remake.as_py(),
            handed_back.as_py(),
        )


def each_shard(block: pa.Table, work: Callable[[Shard], Shard | Done]) -> Iterator[pa.Table]:
    """`work` done on every shard of a block, as blocks of one row."""
    for shard in shards_in(block):
        yield work(shard).to_block()


def _packed(table: pa.Table) -> pa.Array:
    """A table as one value of an Arrow column. It is copied once, into a buffer of its size:
    pictures are the better part of a worker's memory."""
    measured = pa.MockOutputStream()
    _write(table, measured)
    buffer = pa.allocate_buffer(measured.size())
    _write(table, pa.FixedSizeBufferWriter(buffer))
    offsets = pa.array([0, buffer.size], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, buffer])


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _unpack(scalar: pa.Scalar) -> pa.Table:
    return pa.ipc.open_stream(scalar.as_buffer()).read_all()
