"""An export: the existing part, the rest, and the lists at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, TextIO

import pyarrow.parquet as pq

from styleid_ray.batch.export.card import CARD, Counted, card_of, entries, write_samples
from styleid_ray.batch.export.contents import Contents, has_repeats, read_contents
from styleid_ray.batch.export.items import Item, items_of, mixed_in
from styleid_ray.batch.export.outcome import Export, ExportOptions
from styleid_ray.batch.export.rejected import Rejected
from styleid_ray.batch.export.target import ExportStore
from styleid_ray.batch.export.task import MARK, WITHOUT_ORIGINS, ExportItem
from styleid_ray.batch.folder.output import PLAN, PLAN_ONLY, Output
from styleid_ray.batch.folder.stored import is_hidden, stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.prepare import check_outside
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.config import JobConfig, digest
from styleid_ray.datasets.example import Writer
from styleid_ray.datasets.features import feature_of
from styleid_ray.datasets.formats import (
    check_geometry,
    folder_of,
    open_labels,
    open_writer,
    recognised,
)
from styleid_ray.datasets.hub import Hub
from styleid_ray.datasets.labels import Labels, WithColumns
from styleid_ray.datasets.names import Names
from styleid_ray.datasets.options import in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, JobError
from styleid_ray.planning.pairing import content_options
from styleid_ray.quality.rule import reject_rule
from styleid_ray.storage.locations import local_path
from styleid_ray.storage.locations import shown as printable

ORIGINS = "origin.jsonl"
"""Where pictures come from, in formats that have no place for it: a line per picture."""
_FEW = 16
"""Items that are not worth a start of Ray."""


def export(options: ExportOptions, stream: TextIO | None = None) -> Export:
    """Writes a run as a dataset, or what is missing of it, and returns what it holds.

    Raises:
        JobError: the run, its labels or the place cannot be used; the message says what to change.
    """
    out = stream or sys.stderr
    if options.private and not options.hub_id:
        raise ConfigError("--private is given without --push-to: name the dataset to publish")
    hub = Hub(options.hub_id, options.private) if options.hub_id else None
    if hub:
        _check_local(options)
        hub.check()
    output = Output(options.run, options.storage_options)
    record = output.existing_record()
    given = {"address": options.address, "storage_options": options.storage_options}
    config = stored_job(options.run, {k: v for k, v in given.items() if v is not None}, needed=())
    rule = reject_rule(options.reject if options.reject is not None else config.reject)
    if options.mark_rejected and rule is None:
        raise ConfigError("--mark-rejected needs a rule, which the run lacks: give --reject")
    tally = Tally.read(output)
    if not tally.done:
        raise JobError(f"{output.url} has no finished pair yet: nothing to export")
    contents = read_contents(output, content_source(config, record), tally)
    labels = content_labels(config, record, contents.source)
    passed = passed_features(output, labels)
    labels = WithColumns(labels, passed | _mark(options, {**passed, **labels.features}))
    check_geometry(labels, config.fit)
    check_outside(config, options.to, "to")
    store = ExportStore(options.to, options.storage_options)
    open_writer(options.format, store, labels)  # refuses labels that it cannot hold
    planned = tally.finished - tally.unplanned
    rejected = Rejected.read(output, planned, rule, options.mark_rejected)
    work = _Work(options, config, output, tally, contents, labels, store, rejected)
    result = work.do(record, out)
    if hub:
        print(f"published at {hub.upload(store.root)}", file=out)
    return result


@dataclass(frozen=True)
class _Work:
    options: ExportOptions
    config: JobConfig
    output: Output
    tally: Tally
    contents: Contents
    labels: WithColumns
    store: ExportStore
    rejected: Rejected

    @cached_property
    def exported(self) -> Contents:
        """The contents with the counts of the pairs that are exported."""
        return self.rejected.exported(self.contents)

    @cached_property
    def _absent(self) -> dict[str, list[str]]:
        """Pairs that this export does not hold; those of shards that are gone are as they were."""
        absent = self.rejected.absent(self.tally.failures.ids)
        return {**self.store.absent(), **absent} if absent else {}

    def do(self, record: dict[str, Any], out: TextIO) -> Export:
        originals = mixed_in(self.exported, self.options.mix)
        items = list(items_of(self.tally, originals, self.rejected))
        if not any(item.shard for item in items):
            raise JobError(
                f"{self.output.url}: {self.rejected.rule} rejects every finished pair: export with "
                "another --reject, or with --mark-rejected"
            )
        keys, styles = self.contents.source.keys, self.contents.styles
        ids = self.config.pairing == "table" and has_repeats(self.output)
        names = Names.of(keys, styles, folder_of(self.labels.inner), ids)
        how = {
            "run": record["fingerprint"],
            "format": self.options.format,
            "mix": self.options.mix,
            "names": names.as_dict(),
            "labels": digest([self.labels.features, self.labels.header]),
            **self.rejected.how,
        }
        self.store.check(how)
        made = digest(how)
        whole = digest([item.name(made) for item in items])
        complete = self.store.complete()
        if complete and complete["digest"] == whole:
            print(f"nothing to do: {self.store.url} has it all", file=out)
            self.store.tidy()
            result = Export(**{**complete, **self._state()})
            if self.options.hub_id and complete["hub_id"] != self.options.hub_id:
                result = replace(result, hub_id=self.options.hub_id)
                self._write_card(record, result)
                self.store.finish(how, asdict(result), self._absent)
            return result
        if self.rejected.holds(self.store.absent()):
            raise ConfigError(
                f"--to {printable(self.store.url)} holds pairs that {self.rejected.rule} rejects "
                "by now: name another folder"
            )
        if complete and complete["items"] > len(items):
            raise ConfigError(
                f"--to {printable(self.store.url)} holds more than the run has now: name another "
                "folder"
            )
        self.store.begin(how, self._absent)
        self._write(items, names, made, out)
        return self._finish(items, how, whole, record)

    def _state(self) -> dict[str, Any]:
        """How far the run is."""
        return {
            "planned": self.tally.planned,
            "done": self.tally.done,
            "failed": self.contents.failed(self.tally),
            "reject": str(self.rejected.rule) if self.rejected.rule else None,
            "rejected": self.rejected.count,
            "marked": self.rejected.mark,
            "without_value": self.rejected.without_value,
        }

    def _write(self, items: list[Item], names: Names, made: str, out: TextIO) -> None:
        there = self.store.parts()
        left = [item for item in items if item.name(made) not in there]
        total = sum(item.pictures for item in items)
        progress = Progress(total, total - sum(item.pictures for item in left), 0, "pictures")
        if not left:
            return
        task = ExportItem(
            self.output,
            self.store,
            self.options.format,
            self.labels.prepared(self.store),
            self.contents.source.place,
            names,
            made,
            self.rejected.rule,
            self.rejected.mark,
            tuple(name for name in self.labels.extra if name not in self.labels.inner.features),
            self.config.max_pixels,
            self.config.max_bytes,
        )
        sizes = {item.number: item.pictures for item in items}
        with shown(progress, out):
            for number in self._each(task, left, out):
                progress.add(sizes[number], 0)

    def _each(self, task: ExportItem, items: list[Item], out: TextIO) -> Iterator[int]:
        if len(items) <= _FEW and not self.options.address:
            yield from in_threads(task, items)
            return
        from styleid_ray.batch.cluster.connect import connected
        from styleid_ray.batch.cluster.ray_data import on_ray

        with connected(self.config) as where:
            print(where, file=out)
            yield from on_ray(task, items, self.options.storage_options)

    def _finish(
        self, items: list[Item], how: dict[str, Any], whole: str, record: dict[str, Any]
    ) -> Export:
        counts, left_out = {"stylised": 0, "originals": 0}, dict[str, str]()
        with ExitStack() as stack:
            origins = None
            if self.options.format in WITHOUT_ORIGINS:
                origins = stack.enter_context(self.store.writing(ORIGINS))

            def bodies() -> Iterator[bytes]:
                for head, body in self.store.read_parts([item.name(digest(how)) for item in items]):
                    left_out.update(head.pop("left_out"))
                    for origin in head.pop("origins"):
                        assert origins
                        origins.write(json.dumps(origin, ensure_ascii=False).encode() + b"\n")
                    for kind, count in head.items():
                        counts[kind] += count
                    yield body

            parts = bodies()
            writer: Writer = open_writer(self.options.format, self.store, self.labels)
            writer.finish(parts)
            for _ in parts:  # a format without lists reads none
                pass
        result = Export(
            to=self.store.url,
            format=self.options.format,
            **counts,
            left_out=left_out,
            digest=whole,
            items=len(items),
            hub_id=self.options.hub_id,
            **self._state(),
        )
        self._write_card(record, result)
        self.store.finish(how, asdict(result), self._absent)
        return result

    def _write_card(self, record: dict[str, Any], result: Export) -> None:
        card = card_of(
            record,
            self.options.format,
            self.exported,
            self.labels,
            Counted(result.stylised, result.originals),
            failed=len(result.failed),
            failed_names=result.failed,
            left_out=len(result.left_out),
            left_out_names=list(result.left_out),
            reject=result.reject,
            rejected=result.rejected,
            marked=result.marked,
            hub_id=result.hub_id,
            **entries(
                self.options.format,
                self.labels,
                self.exported,
                mixed_in(self.exported, self.options.mix),
            ),
            samples=write_samples(
                self.store, self.output, self.tally, self.contents, self.rejected
            ),
        )
        self.store.write(CARD, card.text().encode())


def _mark(options: ExportOptions, columns: Collection[str]) -> dict[str, Any]:
    """The feature of the column that marks rejected pairs, where it is asked for."""
    if not options.mark_rejected:
        return {}
    if MARK in columns:
        raise ConfigError(
            f"--mark-rejected: the labels or the table of pairs have a column {MARK} already: "
            "leave rejected pairs out"
        )
    return {MARK: {"dtype": "bool", "_type": "Value"}}


def _check_local(options: ExportOptions) -> None:
    if local_path(options.to) is None:
        raise ConfigError(
            f"--push-to publishes a folder of this machine, and --to {printable(options.to)} is "
            "none: export to a local folder"
        )


def content_source(config: JobConfig, record: dict[str, Any]) -> Source:
    """Where the contents lie."""
    roots, format = record.get("sources"), record.get("formats", {}).get("content")
    if roots is None and format not in ("folder", None):
        raise ConfigError(
            "the URLs of the run's sources hold secrets, which are not stored: its labels cannot "
            "be found again"
        )
    root = roots["content"] if roots else ""
    return Source(root, (), dict(config.storage_options or {}))


def content_labels(config: JobConfig, record: dict[str, Any], contents: Source) -> Labels:
    """The labels of a run's contents; raises SourceError when they cannot be read."""
    options = content_options(config, config.storage_options)
    known = record.get("formats", {}).get("content") or None
    if known is None and not config.content:
        known = "folder"  # a table of URLs
    for name in ("content", "label_masks", "annotations"):
        if is_hidden(getattr(config, name)) and (name != "content" or known != "folder"):
            raise ConfigError(
                f"--{name.replace('_', '-')} was stored without its password or signature: labels "
                "cannot be read; keep them where the usual environment gives access"
            )
    return open_labels(recognised(options, known), contents)


def passed_features(output: Output, labels: Labels) -> dict[str, Any]:
    """The Hugging Face features of the columns that a table of pairs brought along."""
    name = output.files(PLAN)[0]
    schema = output.parsed(name, pq.read_schema)
    features: dict[str, Any] = {}
    for column in schema:
        if column.name not in PLAN_ONLY and column.name != "split":
            with suppress(ValueError):  # of a type that datasets does not know
                features[column.name] = feature_of(column.type)
    return features
