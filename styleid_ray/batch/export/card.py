"""The card of an export, and its sample pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import styleid_ray
from styleid_ray.batch.export.contents import Contents
from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.config import ExportFormat
from styleid_ray.datasets.card import CARD, SAMPLES, Card, LabelKind, Progress, strip
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.labels import Labels
from styleid_ray.errors import RowError
from styleid_ray.storage.store import Store

_SAMPLES = 6
_PARAMETERS = ("preset", "steps", "gamma", "temperature", "layers", "adain", "inject")
_PARAMETERS += ("size", "fit", "pairing", "styles_per_content", "seed")


@dataclass(frozen=True)
class Counted:
    """Pictures of an export."""

    stylised: int = 0
    originals: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)


def card_of(
    record: Mapping[str, Any],
    format: ExportFormat,
    contents: Contents,
    labels: Labels,
    counted: Counted,
    **more: Any,
) -> Card:
    """The card of a run's export.

    Args:
        record: of the run.
        format: of the export.
        contents: of the run.
        labels: of the contents.
        counted: pictures of the export.
        more: further fields of the card.
    """
    config = record["config"] | record["identity"]
    return Card(
        name=more.pop("name", None) or config["output"].rstrip("/").rsplit("/", 1)[-1],
        format=format,
        content=record["config"].get("content") or record["config"].get("table") or "",
        style=record["config"].get("style") or record["config"].get("table") or "",
        contents=int((contents.made > 0).sum()) or len(contents.source.keys),
        styles=len(contents.styles),
        stylised=counted.stylised,
        originals=counted.originals,
        splits=counted.splits,
        parameters={name: config.get(name) for name in _PARAMETERS},
        model=record["model"]["name"],
        revision=record["model"]["revision"],
        version=styleid_ray.__version__,
        labels=kinds(labels),
        **more,
    )


def kinds(labels: Labels) -> list[LabelKind]:
    """The kinds of labels that a dataset has, by its columns."""
    text = str(dict(labels.features)).lower()
    words: dict[LabelKind, str] = {
        "class": "'label'",
        "box": "bbox",
        "mask": "mask",
        "keypoints": "keypoints",
        "caption": "caption",
    }
    return [kind for kind, word in words.items() if word in text]


def write_samples(store: Store, output: Output, tally: Tally, contents: Contents) -> bool:
    """Writes a strip of some contents and their results; returns whether there is one."""
    picture = strip(list(_samples(output, tally, contents)))
    if picture:
        store.write(SAMPLES, picture)
    return bool(picture)


def _samples(output: Output, tally: Tally, contents: Contents) -> Iterator[tuple[bytes, bytes]]:
    places = contents.source.places
    keys = contents.source.keys
    for shard in sorted(tally.finished)[:_SAMPLES]:
        for group in output.row_groups(data_file(shard)):
            row = group.select(["image", "content"]).slice(0, 1).to_pylist()[0]
            index = contents.index(row["content"])
            place = places[index] if places is not None else None
            with suppress(RowError):
                content = fetch_picture(contents.source.place, keys[index], place).data
                yield content, row["image"]["bytes"] or output.read(row["image"]["path"])
            break


__all__ = ["CARD", "Counted", "Progress", "card_of", "write_samples"]
