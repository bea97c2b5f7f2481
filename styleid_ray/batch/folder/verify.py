"""Reading a whole run back: plan against shards against pictures."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.output import CONFIG, Kind, Output
from styleid_ray.batch.folder.readback import ShardFile, read_data, read_errors
from styleid_ray.errors import OutputError
from styleid_ray.storage.locations import shown

_FILES_AT_ONCE = 16
_EXAMPLES = 10
_SECONDS = 10.0

HARMLESS = ("missing", "failed", "stray_pictures")
"""Findings that a sound run can have: it is unfinished, has failures, or was cut off."""


@dataclass(frozen=True)
class Verification:
    """What was found in a run. Counts are of pairs, or of files where the name says so."""

    planned: int
    done: int
    found: dict[str, int]
    """missing, failed: planned pairs that are not done. stray_pictures: files in images/ that no
    shard names. All others are damage: unplanned, doubled: pairs that are in `data/` without being
    planned, or twice. damaged_files: shards and plan parts that cannot be read. misnamed_files:
    shards whose name does not follow from their pairs. damaged_pictures, missing_pictures."""
    examples: dict[str, list[str]]
    """Up to ten names for each finding."""
    spoilt: list[str] = field(repr=False)
    """Shard files to remove so that the same command makes their pairs again."""

    @property
    def sound(self) -> bool:
        """Whether all that is there is as it should be."""
        return not any(count for name, count in self.found.items() if name not in HARMLESS)

    @property
    def counts(self) -> dict[str, int]:
        """All counts."""
        return {"planned": self.planned, "done": self.done, **self.found}

    @property
    def remarks(self) -> list[str]:
        """Lines for a person: names of what is not as it should be, and what to do."""
        lines: list[str] = []
        for what, names in self.examples.items():
            if what in ("missing", "failed"):
                continue
            more = self.found[what] - len(names)
            said = f"{what.replace('_', ' ')}: {', '.join(names)}"
            lines.append(said + f" and {more} more" * (more > 0))
        return [*lines, self._verdict]

    @property
    def _verdict(self) -> str:
        if not self.sound:
            return "damaged: verify --repair removes damaged shards, stylize makes them again"
        if self.found["missing"]:
            return "sound so far: the command that began the run goes on with it"
        if self.found["failed"]:
            return (
                "sound, but some pairs failed: their reasons are in errors/, retry does them again"
            )
        return "sound and complete"

    @property
    def exit_status(self) -> int:
        """0: sound and complete; 1: sound, but pairs are missing or failed; 2: damaged."""
        if not self.sound:
            return 2
        return 1 if self.found["missing"] or self.found["failed"] else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.counts, "sound": self.sound, "examples": self.examples}


_FINDINGS = (
    *("missing", "failed", "unplanned", "doubled", "damaged_files", "misnamed_files"),
    *("damaged_pictures", "missing_pictures", "stray_pictures"),
)


class _Findings:
    """Counts with a few examples each."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.examples: dict[str, list[str]] = {}
        self.spoilt: set[str] = set()

    def add(self, what: str, names: Iterable[str], count: int, file: str | None = None) -> None:
        if not count:
            return
        self.counts[what] += count
        known = self.examples.setdefault(what, [])
        known.extend(map(shown, islice(names, _EXAMPLES - len(known))))
        if file:
            self.spoilt.add(file)


def verify(output: Output, stream: TextIO | None = None) -> Verification:
    """Reads back everything that a run has written, file by file and many at once.

    A pair that failed and was done later counts as done. Progress goes to `stream` (standard error
    by default) when it takes long.

    Raises:
        OutputError: there is no run, or its record is damaged.
    """
    record = output.record()
    if record is None:
        raise OutputError(f"there is no run at {output.url} (no {CONFIG}): check the path")
    findings = _Findings()
    planned = _planned(output, findings)
    tell = _Teller(stream or sys.stderr)
    data = _read_all(output, "data", lambda name: read_data(output, name), findings, tell)
    errors = _read_all(output, "errors", lambda name: read_errors(output, name), findings, tell)

    found = np.concatenate([file.ids for file in data] or [np.empty(0, "S32")])
    done, first = np.unique(found, return_index=True)
    _find_doubled(data, np.setdiff1d(np.arange(len(found)), first), findings)
    unplanned = np.setdiff1d(done, planned, assume_unique=True)
    findings.add("unplanned", map(bytes.decode, unplanned), len(unplanned))
    done = np.intersect1d(done, planned, assume_unique=True)
    failed = np.unique(np.concatenate([file.ids for file in errors] or [np.empty(0, "S32")]))
    failed = np.setdiff1d(np.intersect1d(failed, planned, assume_unique=True), done, True)
    findings.add("failed", map(bytes.decode, failed), len(failed))
    missing = np.setdiff1d(np.setdiff1d(planned, done, True), failed, True)
    # Parts of the plan that are lost are missed by their pairs.
    lost = max(0, record.get("plan", {}).get("pairs", 0) - len(planned))
    findings.add("missing", map(bytes.decode, missing), len(missing) + lost)
    if lost:
        findings.add("damaged_files", [f"_run/plan: {lost} pairs are not in it"], 1)
    if record.get("config", {}).get("format") == "files":
        named = {name for file in data for name in file.beside}
        stray = [name for name in output.listed("images") if name not in named]
        findings.add("stray_pictures", stray, len(stray))
    return Verification(
        planned=len(planned) + lost,
        done=len(done),
        found={name: findings.counts[name] for name in _FINDINGS},
        examples=findings.examples,
        spoilt=sorted(findings.spoilt),
    )


def _planned(output: Output, findings: _Findings) -> np.ndarray:
    """The sorted ids of the plan."""
    parts: list[np.ndarray] = []
    for name in output.files("_run/plan"):
        try:
            parts.append(output.read_ids(name))
        except pa.ArrowInvalid as e:
            findings.add("damaged_files", [f"{name}: {e}"], 1)
    return np.unique(np.concatenate(parts or [np.empty(0, "S32")]))


def _read_all(
    output: Output,
    kind: Kind,
    read: Callable[[str], ShardFile],
    findings: _Findings,
    tell: _Teller,
) -> list[ShardFile]:
    """The files of a kind, sorted by name; what is wrong with them goes to the findings."""
    names = output.files(kind)
    files: dict[str, ShardFile] = {}
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        for job in as_completed([pool.submit(read, name) for name in names]):
            file = job.result()
            files[file.name] = file
            tell(f"{len(files)} of {len(names)} files of {kind}/ are read back")
    for name in names:
        file = files[name]
        findings.add("damaged_files", [f"{name}: {file.damage}"], bool(file.damage), name)
        findings.add("misnamed_files", [name], file.misnamed, name)
        for what, pictures in (
            ("damaged_pictures", file.damaged),
            ("missing_pictures", file.missing),
        ):
            findings.add(what, pictures, len(pictures), name)
    return [files[name] for name in names]


def _find_doubled(files: list[ShardFile], again: np.ndarray, findings: _Findings) -> None:
    """Names the pairs at these places of all files' ids, each of which came before."""
    ends = np.cumsum([len(file.ids) for file in files])
    for place in again.tolist():
        at = int(np.searchsorted(ends, place, side="right"))
        file = files[at]
        pair = file.ids[place - int(ends[at])]
        findings.add("doubled", [f"{bytes(pair).decode()} in {file.name}"], 1, file.name)


class _Teller:
    """Says something now and then: nothing at first, later every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.said = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self.said >= _SECONDS:
            self.said = time.monotonic()
            print(text, file=self.stream, flush=True)


def repair(output: Output, found: Verification) -> list[str]:
    """Removes the shard files that are damaged, misnamed or doubled; gives their names.

    Running the job again makes their pairs anew.
    """
    for name in found.spoilt:
        output.delete(name)
    return found.spoilt
