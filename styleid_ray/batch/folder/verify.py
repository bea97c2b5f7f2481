"""Reading a whole run back: plan against shards against pictures."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.output import PLAN, Output, as_ids, data_file, stem
from styleid_ray.batch.folder.readback import ShardCheck, check_shard
from styleid_ray.planning import shard_name
from styleid_ray.storage.locations import shown

_FEW = 8
"""Shards that are read in this process: starting others takes longer."""
_AHEAD = 4
"""Shards per process that are handed out ahead."""
_EXAMPLES = 10
_SECONDS = 10.0

HARMLESS = ("missing", "failed", "stray_pictures")
"""Findings that a sound run can have: it is unfinished, has failures, or was cut off."""


@dataclass(frozen=True)
class Verification:
    """The state of a run. Counts are of pairs, or of files where the name says so."""

    planned: int
    done: int
    findings: dict[str, int]
    """missing, failed: planned pairs that are not done. stray_pictures: files in images/ that no
    shard names. All others are damage. lost, unplanned, doubled: pairs of a finished shard that it
    has neither done nor failed, that are not of the shard, or that it has twice. damaged_files:
    shards and plan parts that cannot be read. misnamed_files: files of shards that no plan has.
    damaged_pictures, missing_pictures."""
    examples: dict[str, list[str]]
    """Up to ten names for each finding."""
    spoilt: list[str] = field(repr=False)
    """Shard files to remove so that the same command makes their pairs again."""

    @property
    def sound(self) -> bool:
        """Whether all that is there is as it should be."""
        return not any(count for name, count in self.findings.items() if name not in HARMLESS)

    @property
    def counts(self) -> dict[str, int]:
        """All counts."""
        return {"planned": self.planned, "done": self.done, **self.findings}

    @property
    def remarks(self) -> list[str]:
        """Lines for a person: names of what is not as it should be, and what to do."""
        lines: list[str] = []
        for what, names in self.examples.items():
            if what in ("missing", "failed"):
                continue
            more = self.findings[what] - len(names)
            line = f"{what.replace('_', ' ')}: {', '.join(names)}"
            lines.append(line + f" and {more} more" * (more > 0))
        return [*lines, self._verdict]

    @property
    def _verdict(self) -> str:
        if not self.sound:
            return "damaged: verify --repair removes damaged shards, stylize makes them again"
        if self.findings["missing"]:
            return "sound so far: the command that began the run resumes it"
        if self.findings["failed"]:
            return (
                "sound, but some pairs failed: their reasons are in errors/, retry tries them again"
            )
        return "sound and complete"

    @property
    def exit_status(self) -> int:
        """0: sound and complete; 1: sound, but pairs are missing or failed; 2: damaged."""
        if not self.sound:
            return 2
        return 1 if self.findings["missing"] or self.findings["failed"] else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.counts, "sound": self.sound, "examples": self.examples}


_FINDINGS = (
    *("missing", "failed", "lost", "unplanned", "doubled", "damaged_files", "misnamed_files"),
    *("damaged_pictures", "missing_pictures", "stray_pictures"),
)
_OF_A_SHARD = (
    *("missing", "failed", "lost", "unplanned", "doubled"),
    *("damaged_pictures", "missing_pictures"),
)


class _Findings:
    """Counts with a few examples each."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.examples: dict[str, list[str]] = {}
        self.spoilt: set[str] = set()
        self.done = 0
        self.beside: set[str] = set()

    def add(self, what: str, names: Iterable[str], count: int, file: str | None = None) -> None:
        if not count:
            return
        self.counts[what] += count
        known = self.examples.setdefault(what, [])
        known.extend(map(shown, islice(names, _EXAMPLES - len(known))))
        if file:
            self.spoilt.add(file)

    def take(self, check: ShardCheck) -> None:
        """Takes in a finished shard."""
        self.done += check.done
        self.beside.update(check.beside)
        name = data_file(check.shard)
        for what in _OF_A_SHARD:
            names = getattr(check, what)
            examples = (f"{n} in {name}" for n in names) if what in ("doubled", "lost") else names
            self.add(what, examples, len(names), None if what in HARMLESS else name)
        for file, why in check.damaged_files.items():
            self.add("damaged_files", [f"{file}: {why}"], 1, file)


def verify(output: Output, stream: TextIO | None = None) -> Verification:
    """Reads back everything that a run has written, many shards at once on the cores of this
    machine.

    A pair that failed and was done later counts as done. Progress goes to `stream` (standard error
    by default) when it takes long.

    Raises:
        OutputError: there is no run, its record is damaged, or a file cannot be reached.
    """
    record = output.existing_record()
    findings, tell = _Findings(), _Teller(stream or sys.stderr)
    data, errors = (set(map(stem, output.files(kind))) for kind in ("data", "errors"))
    shards = _Shards(output, findings)
    work = ((name, ids, name in errors) for name, ids in shards if name in data)
    with ExitStack() as stack:
        pool = stack.enter_context(_processes()) if len(data) > _FEW else None
        for number, check in enumerate(_checked(output, work, pool), 1):
            findings.take(check)
            tell(f"{number} of {len(data)} shards are read back")
    planned = shards.pairs
    missing = [(name, count) for name, count in shards.counts.items() if name not in data]
    for name, count in missing:
        findings.add("missing", [f"{count} pairs of {name}"], count)
    # Parts of the plan that are lost are missed by their pairs.
    lost = max(0, record["plan"].get("pairs", 0) - planned)
    if lost:
        findings.add("missing", [], lost)
        findings.add("damaged_files", [f"{PLAN}: {lost} pairs are not in it"], 1)
    for kind, names in (("data", data), ("errors", errors)):
        # Without its whole plan, nothing tells a shard from a stray file.
        stray = set() if lost or shards.damaged else names - shards.counts.keys()
        for name in sorted(stray):
            findings.add("misnamed_files", [f"{kind}/{name}.parquet"], 1, f"{kind}/{name}.parquet")
    if record["config"].get("format") == "files":
        pictures = [name for name in output.listed("images") if name not in findings.beside]
        findings.add("stray_pictures", pictures, len(pictures))
    return Verification(
        planned=planned + lost,
        done=findings.done,
        findings={name: findings.counts[name] for name in _FINDINGS},
        examples=findings.examples,
        spoilt=sorted(findings.spoilt),
    )


class _Shards:
    """The shards of a stored plan with the ids of their pairs, read part by part."""

    def __init__(self, output: Output, findings: _Findings) -> None:
        self.output, self.findings = output, findings
        self.counts: dict[str, int] = {}
        """Pairs of the shards that were read so far."""
        self.damaged = False
        """Whether a part could not be read."""

    @property
    def pairs(self) -> int:
        return sum(self.counts.values())

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for part in self.output.files(PLAN):
            try:
                table = self.output.read_table(part, ["shard", "pair_id"])
            except pa.ArrowInvalid as e:
                self.damaged = True
                self.findings.add("damaged_files", [f"{part}: {e}"], 1)
                continue
            ids, names = as_ids(table["pair_id"]), np.array(table["shard"].to_pylist())
            order = np.argsort(names, kind="stable")
            shards, starts = np.unique(names[order], return_index=True)
            for shard, pairs in zip(shards, np.split(ids[order], starts[1:]), strict=True):
                name = str(shard)
                if shard_name(pairs) != name or name in self.counts:
                    self.findings.add("damaged_files", [f"{part}: pairs of {name}"], 1)
                self.counts[name] = self.counts.get(name, 0) + len(pairs)
                yield name, pairs


def _processes() -> ProcessPoolExecutor:
    # Threads and fork do not go together, and a store's client has threads.
    return ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("forkserver"))


def _checked(
    output: Output,
    work: Iterable[tuple[str, np.ndarray, bool]],
    pool: ProcessPoolExecutor | None,
) -> Iterator[ShardCheck]:
    """The shards' checks in order; few are handed out ahead, for each holds ids of pairs."""
    if pool is None:
        yield from (check_shard(output, *one) for one in work)
        return
    pending: list[Future[ShardCheck]] = []
    for one in work:
        pending.append(pool.submit(check_shard, output, *one))
        if len(pending) > _AHEAD * (os.cpu_count() or 1):
            yield pending.pop(0).result()
    yield from (future.result() for future in pending)


class _Teller:
    """Shows a line every ten seconds, the first after ten."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self.shown >= _SECONDS:
            self.shown = time.monotonic()
            print(text, file=self.stream, flush=True)


def repair(output: Output, verification: Verification) -> list[str]:
    """Removes the files of shards that are damaged; returns their names. Resuming makes their
    pairs again.

    Where the errors of a shard are damaged, its data goes too: which pairs failed is not known.
    """
    removed = set(verification.spoilt)
    removed |= {data_file(stem(n)) for n in verification.spoilt if n.startswith("errors/")}
    for name in sorted(removed):
        output.delete(name)
    return sorted(removed)
