"""An export: the existing part, the rest, and the lists at the end."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any, TextIO

from styleid_ray.batch.export.card import export_card, write_samples
from styleid_ray.batch.export.contents import (
    content_labels,
    content_source,
    further_features,
    has_repeats,
    read_contents,
)
from styleid_ray.batch.export.items import Item, items_of, mixed_in
from styleid_ray.batch.export.outcome import Export, ExportOptions
from styleid_ray.batch.export.rejected import Rejected
from styleid_ray.batch.export.target import ExportStore
from styleid_ray.batch.export.task import WITHOUT_ORIGINS, ExportItem
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.prepare import check_outside
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.config import digest
from styleid_ray.datasets.card import CARD
from styleid_ray.datasets.formats import check_geometry, open_writer
from styleid_ray.datasets.hub import Hub
from styleid_ray.datasets.labels import WithColumns
from styleid_ray.datasets.names import Names
from styleid_ray.datasets.options import in_threads
from styleid_ray.errors import ConfigError, JobError
from styleid_ray.quality.rule import reject_rule
from styleid_ray.storage.locations import local_path
from styleid_ray.storage.locations import shown as printable

ORIGINS = "origin.jsonl"
"""Origins of the pictures, one per line, in formats that cannot hold them."""
_FEW = 16
"""The most items that are exported without Ray."""


def export(options: ExportOptions, stream: TextIO | None = None) -> Export:
    """Writes a run as a dataset, or its missing part, and returns a description of the dataset.

    Raises:
        JobError: the run, its labels or the place cannot be used; the message names the remedy.
    """
    out = stream or sys.stderr
    if options.private and not options.hub_id:
        raise ConfigError("--private is given without --push-to: name the dataset to publish")
    hub = Hub(options.hub_id, options.private) if options.hub_id else None
    if hub:
        if local_path(options.to) is None:
            raise ConfigError(
                f"--push-to publishes a local folder, and --to {printable(options.to)} is not one: "
                "export to a local folder"
            )
        hub.check()
    work = _Work(options, out)
    result = work.do()
    if hub:
        print(f"published at {hub.upload(work.store.root)}", file=out)
    return result


class _Work:
    """The work of one export; messages and progress go to `out`. Raises as `export`."""

    def __init__(self, options: ExportOptions, out: TextIO) -> None:
        self.options, self.out = options, out
        self.output = output = Output(options.run, options.storage_options)
        self.record = record = output.existing_record()
        given = {"address": options.address, "storage_options": options.storage_options}
        given = {name: value for name, value in given.items() if value is not None}
        self.config = config = stored_job(options.run, given, needed=())
        rule = reject_rule(options.reject if options.reject is not None else config.reject)
        if options.mark_rejected and rule is None:
            raise ConfigError("--mark-rejected needs a rule, which the run lacks: give --reject")
        self.tally = tally = Tally.read(output)
        if not tally.done:
            raise JobError(f"{output.url} has no finished pair yet: nothing to export")
        self.contents = read_contents(output, content_source(config, record), tally)
        labels = content_labels(config, record, self.contents.source)
        self.labels = WithColumns(labels, further_features(output, labels, options.mark_rejected))
        check_geometry(self.labels, config.fit)
        check_outside(config, options.to, "to")
        self.store = ExportStore(options.to, options.storage_options)
        open_writer(options.format, self.store, self.labels)  # refuses labels that it cannot hold
        finished = tally.finished - tally.unplanned
        self.rejected = Rejected.read(output, finished, rule, options.mark_rejected)
        self.exported = self.rejected.exported(self.contents)
        self.originals = mixed_in(self.exported, options.mix)

    def do(self) -> Export:
        """Writes the missing part of the export."""
        store, rejected = self.store, self.rejected
        items = list(items_of(self.tally, self.originals, rejected))
        if not any(item.shard for item in items):
            raise JobError(
                f"{self.output.url}: {rejected.rule} rejects every finished pair: export with "
                "another --reject, or with --mark-rejected"
            )
        ids = self.config.pairing == "table" and has_repeats(self.output)
        names = Names.of(self.contents.source.keys, self.contents.styles, ids)
        how = {
            "run": self.record["fingerprint"],
            "format": self.options.format,
            "mix": self.options.mix,
            "names": asdict(names),
            "labels": digest([self.labels.features, self.labels.header]),
            **rejected.how,
        }
        store.check(how)
        made = digest(how)
        whole = digest([item.name(made) for item in items])
        complete = store.complete()
        if complete and complete["digest"] == whole:
            return self._unchanged(complete, how)
        if rejected.holds(store.absent()):
            raise ConfigError(
                f"--to {printable(store.url)} holds pairs that {rejected.rule} now rejects: name "
                "another folder"
            )
        if complete and complete["items"] > len(items):
            raise ConfigError(
                f"--to {printable(store.url)} holds more than the run has now: name another folder"
            )
        absent = self._absent()
        store.begin(how, absent)
        self._write(items, names, made)
        counts, left_out = self._join([item.name(made) for item in items])
        result = Export(
            to=store.url,
            format=self.options.format,
            **counts,
            left_out=left_out,
            digest=whole,
            items=len(items),
            hub_id=self.options.hub_id,
            **self._state(),
        )
        self._write_card(result)
        store.finish(how, result.as_dict(), absent)
        return result

    def _absent(self) -> dict[str, list[str]]:
        """Pairs that this export omits, by shard; earlier entries stay for shards that are gone."""
        absent = self.rejected.absent(self.tally.failures.ids)
        return {**self.store.absent(), **absent} if absent else {}

    def _unchanged(self, complete: dict[str, Any], how: dict[str, Any]) -> Export:
        """The result of a complete export; another name on the hub changes its card."""
        print(f"nothing to do: {self.store.url} is complete", file=self.out)
        self.store.tidy()
        result = Export(**{**complete, **self._state()})
        if self.options.hub_id and complete["hub_id"] != self.options.hub_id:
            result = replace(result, hub_id=self.options.hub_id)
            self._write_card(result)
            self.store.finish(how, result.as_dict(), self._absent())
        return result

    def _state(self) -> dict[str, Any]:
        """The state of the run, as `Export` has it."""
        return {
            "planned": self.tally.planned,
            "done": self.tally.done,
            "failed": self.contents.failed(self.tally),
            "reject": str(self.rejected.rule) if self.rejected.rule else None,
            "rejected": self.rejected.count,
            "marked": self.rejected.mark,
            "without_value": self.rejected.without_value,
        }

    def _write(self, items: list[Item], names: Names, made: str) -> None:
        """Writes the items whose parts are missing."""
        existing = self.store.parts()
        left = [item for item in items if item.name(made) not in existing]
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
            tuple(self.labels.extra),
            self.config.max_pixels,
            self.config.max_bytes,
        )
        sizes = {item.number: item.pictures for item in items}
        total = sum(sizes.values())
        progress = Progress(total, total - sum(item.pictures for item in left), 0, "pictures")
        with shown(progress, self.out):
            for number in self._each(task, left):
                progress.add(sizes[number], 0)

    def _each(self, task: ExportItem, items: list[Item]) -> Iterator[int]:
        if len(items) <= _FEW and not self.options.address:
            yield from in_threads(task, items)
            return
        from styleid_ray.batch.cluster.connect import connected
        from styleid_ray.batch.cluster.ray_data import on_ray

        with connected(self.config) as where:
            print(where, file=self.out)
            yield from on_ray(task, items, self.options.storage_options)

    def _join(self, parts: list[str]) -> tuple[Counter[str], dict[str, str]]:
        """Joins the parts to the lists of the dataset; returns the pictures by kind, and the
        omitted contents with their reasons."""
        counts, left_out = Counter(stylised=0, originals=0), dict[str, str]()
        with ExitStack() as stack:
            origins = None
            if self.options.format in WITHOUT_ORIGINS:
                origins = stack.enter_context(self.store.writing(ORIGINS))

            def bodies() -> Iterator[bytes]:
                for head, body in self.store.read_parts(parts):
                    left_out.update(head.pop("left_out"))
                    for origin in head.pop("origins"):
                        assert origins
                        origins.write(json.dumps(origin, ensure_ascii=False).encode() + b"\n")
                    counts.update(head)
                    yield body

            rest = bodies()
            open_writer(self.options.format, self.store, self.labels).finish(rest)
            for _ in rest:  # a format without lists reads none
                pass
        return counts, left_out

    def _write_card(self, result: Export) -> None:
        samples = write_samples(self.store, self.output, self.tally, self.contents, self.rejected)
        card = export_card(self.record, self.exported, self.labels, self.originals, result, samples)
        self.store.write(CARD, card.text().encode())
