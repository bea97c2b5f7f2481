"""The card of an export, and its sample pictures."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import styleid_ray
from styleid_ray.arrow import pc
from styleid_ray.batch.export.contents import Contents
from styleid_ray.batch.export.outcome import Export
from styleid_ray.batch.export.rejected import Rejected
from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.config import ExportFormat, changes
from styleid_ray.datasets.card import SAMPLES, Card, LabelKind, strip
from styleid_ray.datasets.features import field_names
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.storage.store import Store

_SAMPLES = 6


def export_card(
    record: Mapping[str, Any],
    contents: Contents,
    labels: Labels,
    originals: Source,
    result: Export,
    samples: bool,
) -> Card:
    """The card of a complete export; `samples` is whether it has sample pictures."""
    return card_of(
        record,
        result.format,
        contents,
        labels,
        stylised=result.stylised,
        originals=result.originals,
        failed=len(result.failed),
        failed_names=result.failed,
        left_out=len(result.left_out),
        left_out_names=list(result.left_out),
        reject=result.reject,
        rejected=result.rejected,
        marked=result.marked,
        hub_id=result.hub_id,
        samples=samples,
        **_entries(result.format, labels, contents, originals),
    )


def card_of(
    record: Mapping[str, Any],
    format: ExportFormat,
    contents: Contents,
    labels: Labels,
    **more: Any,
) -> Card:
    """The card of a run's export; `more` are further fields of the card, `stylised` among them."""
    config = record["config"]
    return Card(
        name=config["output"].rstrip("/").rsplit("/", 1)[-1],
        format=format,
        content=config.get("content") or config.get("table") or "",
        style=config.get("style") or config.get("table") or "",
        contents=int((contents.made > 0).sum()) or len(contents.source.keys),
        styles=len(contents.styles),
        parameters=parameters(record),
        method=record["identity"].get("method", "styleid"),
        model=record["model"]["name"],
        revision=record["model"]["revision"],
        version=styleid_ray.__version__,
        labels=_kinds(labels),
        **more,
    )


def parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run that reproduce its pictures, without sources and model."""
    values = {**record["identity"], "style_weights": record["config"].get("style_weights")}
    return {
        name: value
        for name, value in values.items()
        if value not in (None, []) and name != "model" and changes(name) != "encoding"
    }


def _entries(
    format: ExportFormat, labels: Labels, contents: Contents, originals: Source
) -> dict[str, Any]:
    """The fields of a card that locate the data for a reader: entry, splits and configs."""
    counts = Counter(originals.splits or ())
    for split, made in zip(contents.source.splits or (), contents.made.tolist(), strict=False):
        counts[split] += made
    counts = +counts
    first = next((s for s in ("train", *sorted(counts)) if s in counts), "")
    fields: dict[str, Any] = {"splits": counts}
    if format == "coco":
        files = {
            file["name"]
            for file in labels.header.get("files", ())
            if not first or file["split"] in (first, None, "")
        }
        name = "annotations.json" if len(files) == 1 else f"annotations/{min(files, default='')}"
        fields["entry"] = f"{first}/{name}" if first else name
    elif format == "webdataset":
        fields["entry"] = f"{first}/*.tar" if first else "*.tar"
        patterns = {split: f"{split}/*.tar" for split in counts}
    elif format == "parquet":
        fields["entry"] = f"data/{first}-*.parquet" if first else "data/*.parquet"
        patterns = {split: f"data/{split}-*.parquet" for split in counts}
    if counts and format in ("webdataset", "parquet"):
        files = [{"split": split, "path": path} for split, path in sorted(patterns.items())]
        fields["configs"] = [{"config_name": "default", "data_files": files}]
    return fields


def _kinds(labels: Labels) -> list[LabelKind]:
    """The kinds of labels in a dataset, by the names of its columns and their fields."""
    text = " ".join(field_names(labels.features)).lower()
    found: list[LabelKind] = ["class"] if {"label", "cls"} & set(labels.features) else []
    words: dict[LabelKind, str] = {
        "box": "bbox",
        "mask": "mask",
        "keypoints": "keypoints",
        "caption": "caption",
    }
    return found + [kind for kind, word in words.items() if word in text]


def write_samples(
    store: Store, output: Output, tally: Tally, contents: Contents, rejected: Rejected
) -> bool:
    """Writes a strip of some contents and results, without rejected ones; returns whether there is
    one."""
    picture = strip(list(_samples(output, tally, contents, rejected)))
    if picture:
        store.write(SAMPLES, picture)
    return bool(picture)


def _samples(
    output: Output, tally: Tally, contents: Contents, rejected: Rejected
) -> Iterator[tuple[bytes, bytes]]:
    places = contents.source.places
    keys = contents.source.keys
    shown = set[str]()
    for shard in sorted(tally.finished)[:_SAMPLES]:
        for group in output.row_groups(data_file(shard)):
            if rejected.rule:
                group = group.filter(pc.invert(rejected.rule.rejects(group)))
            for number, key in enumerate(group["content"].to_pylist()):
                if len(shown) == _SAMPLES:
                    return
                if key in shown:
                    continue
                shown.add(key)
                index = contents.index(key)
                place = places[index] if places is not None else None
                image = group["image"][number].as_py()
                with suppress(RowError):
                    content = fetch_picture(contents.source.place, keys[index], place).data
                    yield content, image["bytes"] or output.read(image["path"])
