"""Reads a whole run back: its plan against its shards against its pictures."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from styleid_ray.batch.cluster.resources import cores
from styleid_ray.batch.folder.output import PLAN, Output, as_ids, data_file, stem
from styleid_ray.batch.folder.readback import ShardCheck, check_shard, damaged
from styleid_ray.batch.stages.isolated import Isolated, ProcessDiedError
from styleid_ray.batch.watch.progress import counted
from styleid_ray.errors import OutputError
from styleid_ray.planning import shard_name
from styleid_ray.storage.locations import shown

_AHEAD = 16
"""Shards per process that are begun together."""
_PATIENCE = 7200.0
"""Seconds for one shard."""
_CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL}
"""Exit codes of a process that its own code has ended: of a decoder's faults."""
_EXAMPLES = 10
_SECONDS = 10.0

HARMLESS = ("missing", "failed", "stray_pictures")
"""Findings in a sound run: it is unfinished, has failures, or was interrupted."""
_FINDINGS = (
    *("missing", "failed", "lost", "unplanned", "doubled", "damaged_files", "misnamed_files"),
    *("damaged_pictures", "missing_pictures", "stray_pictures"),
)


@dataclass(frozen=True)
class Verification:
    """The state of a run. Counts are of pairs, or of files if the name says so."""

    planned: int
    done: int
    findings: dict[str, int]
    """missing, failed: planned pairs that are not done. stray_pictures: files in images/ that no
    shard names. All others are damage. lost: pairs of a finished shard that it has neither as done
    nor as failed; unplanned: pairs that belong to another shard; doubled: pairs with two rows.
    damaged_files: unreadable shards and plan parts. misnamed_files: files of shards that are not in
    the plan. damaged_pictures, missing_pictures."""
    examples: dict[str, list[str]]
    """Up to ten names for each finding."""
    spoilt: list[str] = field(repr=False)
    """Shard files to remove, so that the same command makes their pairs again."""
    pairs_to_remake: int = 0
    """Planned pairs of the shards that a repair removes."""

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not any(count for name, count in self.findings.items() if name not in HARMLESS)

    @property
    def counts(self) -> dict[str, int]:
        """All counts."""
        return {"planned": self.planned, "done": self.done, **self.findings}

    def remarks(self, repaired: bool = False) -> list[str]:
        """Lines for a person: what is damaged, by name, and the next command. `repaired` is whether
        the damaged shards have been removed."""
        lines: list[str] = []
        for finding, names in self.examples.items():
            if finding not in ("missing", "failed"):
                more = self.findings[finding] - len(names)
                line = f"{finding.replace('_', ' ')}: {', '.join(names)}"
                lines.append(line + f" and {more} more" * (more > 0))
        return [*lines, self._verdict(repaired)]

    def _verdict(self, repaired: bool) -> str:
        if repaired and self.spoilt:
            removed = counted(len(set(map(stem, self.spoilt))), "shard")
            pairs = counted(self.pairs_to_remake, "pair")
            hint = "; run the stylize command again to make them" * bool(self.pairs_to_remake)
            return f"removed {removed} with {pairs}{hint}"
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


def verify(output: Output, stream: TextIO | None = None) -> Verification:
    """Reads back everything that a run has written, many shards at a time on the cores of this
    machine. A shard whose reading crashes the process, such as by a picture that its decoder
    cannot bear, counts as damaged.

    A pair that failed and was done later counts as done. Progress goes to `stream` (standard error
    by default) every ten seconds.

    Raises:
        OutputError: there is no run, its record is damaged, or a file cannot be reached.
    """
    record = output.existing_record()
    data, errors = (set(map(stem, output.files(kind))) for kind in ("data", "errors"))
    findings = _Findings(output)
    work = ((name, ids, name in errors) for name, ids in findings.planned_shards() if name in data)
    printed = time.monotonic()
    processes = max(1, min(cores(), len(data)))
    with Isolated(processes, _PATIENCE, "styleid_ray.batch.folder.readback") as isolated:
        for number, check in enumerate(_checked(output, work, isolated, processes), 1):
            findings.take(check)
            if time.monotonic() - printed >= _SECONDS:
                printed = time.monotonic()
                line = f"{number} of {len(data)} shards read back"
                print(line, file=stream or sys.stderr, flush=True)
    for name, count in findings.shards.items():
        if name not in data:
            findings.add("missing", [f"{count} pairs of {name}"], count)
    planned = sum(findings.shards.values())
    # A lost part of the plan shows in the number of pairs.
    lost = max(0, record["plan"].get("pairs", 0) - planned)
    if lost:
        findings.add("missing", [], lost)
        findings.add("damaged_files", [f"{PLAN}: {lost} pairs are not in it"], 1)
    if not lost and findings.plan_readable:  # else a stray file may be a shard of the plan
        for kind, names in (("data", data), ("errors", errors)):
            for name in sorted(names - findings.shards.keys()):
                file = f"{kind}/{name}.parquet"
                findings.add("misnamed_files", [file], 1, file)
    if record["config"].get("format") == "files":
        pictures = [name for name in output.listed("images") if name not in findings.beside]
        findings.add("stray_pictures", pictures, len(pictures))
    return Verification(
        planned=planned + lost,
        done=findings.done,
        findings={name: findings.counts[name] for name in _FINDINGS},
        examples=findings.examples,
        spoilt=sorted(findings.spoilt),
        pairs_to_remake=sum(findings.shards.get(s, 0) for s in set(map(stem, findings.spoilt))),
    )


class _Findings:
    """The plan's shards, and the counts of all findings with a few examples each."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.shards: dict[str, int] = {}
        """Pairs of each shard that was read from the plan."""
        self.plan_readable = True
        self.counts = Counter[str]()
        self.examples: dict[str, list[str]] = {}
        self.spoilt: set[str] = set()
        self.done = 0
        self.beside: set[str] = set()

    def add(self, finding: str, names: Iterable[str], count: int, file: str | None = None) -> None:
        if not count:
            return
        self.counts[finding] += count
        known = self.examples.setdefault(finding, [])
        known.extend(map(shown, islice(names, _EXAMPLES - len(known))))
        if file:
            self.spoilt.add(file)

    def take(self, check: ShardCheck) -> None:
        self.done += check.done
        self.beside.update(check.beside)
        for kind, text, file in check.findings:
            self.add(kind, [text], 1, file)

    def planned_shards(self) -> Iterator[tuple[str, np.ndarray]]:
        """The shards of the plan with the ids of their pairs, read part by part."""
        for part in self.output.files(PLAN):
            try:
                table = self.output.read_table(part, ["shard", "pair_id"])
            except pa.ArrowInvalid as e:
                self.plan_readable = False
                self.add("damaged_files", [f"{part}: {e}"], 1)
                continue
            ids, names = as_ids(table["pair_id"]), np.array(table["shard"].to_pylist())
            order = np.argsort(names, kind="stable")
            shards, starts = np.unique(names[order], return_index=True)
            for shard, pairs in zip(shards, np.split(ids[order], starts[1:]), strict=True):
                name = str(shard)
                if shard_name(pairs) != name or name in self.shards:
                    self.add("damaged_files", [f"{part}: pairs of {name}"], 1)
                self.shards[name] = self.shards.get(name, 0) + len(pairs)
                yield name, pairs


def _checked(
    output: Output,
    work: Iterator[tuple[str, np.ndarray, bool]],
    isolated: Isolated,
    processes: int,
) -> Iterator[ShardCheck]:
    """The shards' checks in order; few are begun ahead, for each holds ids of pairs."""

    def check(shard: str, planned: np.ndarray, has_errors: bool) -> ShardCheck:
        try:
            return isolated(check_shard, output, shard, planned, has_errors)
        except ProcessDiedError as e:
            file = data_file(shard)
            if e.code in _CRASHES:
                return damaged(file, f"reading it {e}")
            reason = (
                "a picture in it may hang its decoder: look at the file"
                if e.code is None
                else "most often for lack of memory: make room and run verify again"
            )
            raise OutputError(
                f"{output.url}/{file} cannot be checked: reading it {e}, {reason}"
            ) from e

    with ThreadPoolExecutor(processes) as threads:
        while chunk := list(islice(work, _AHEAD * processes)):
            yield from threads.map(lambda shard: check(*shard), chunk)


def repair(output: Output, verification: Verification) -> list[str]:
    """Removes the files of damaged shards, so that a resumed run makes their pairs again; returns
    their names.

    If the errors of a shard are damaged, its data goes too: its failed pairs are unknown.
    """
    removed = set(verification.spoilt)
    removed |= {data_file(stem(n)) for n in verification.spoilt if n.startswith("errors/")}
    for name in sorted(removed):
        output.delete(name)
    return sorted(removed)
