"""The card of an exported dataset: the README.md that the Hugging Face hub shows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal

import yaml
from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageOps

from styleid_ray.config import ExportFormat, Method
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode
from styleid_ray.methods import METHODS
from styleid_ray.storage.locations import local_path, shown
from styleid_ray.storage.secrets import without_secrets

CARD = "README.md"
"""Name of the card's file in the dataset."""
SAMPLES = "samples.jpg"
"""Name of the file with sample pictures, beside the card."""

LabelKind = Literal["class", "box", "mask", "keypoints", "caption"]

_TASKS: Mapping[LabelKind, str] = {
    "class": "image-classification",
    "box": "object-detection",
    "mask": "image-segmentation",
    "keypoints": "keypoint-detection",
    "caption": "image-to-text",
}
_TAGS = ("style-transfer", "data-augmentation")
_MOST_NAMES = 20
_MOST_CHARACTERS = 300
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&$]|^[-+#=]")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s)")

_MOST_SAMPLES = 64
_MOST_PIXELS = 64_000_000
"""Larger pictures are not decoded for a sample."""
_GAP, _PAPER = 4, (255, 255, 255)


@dataclass(frozen=True)
class Progress:
    """How far a run is that still makes the dataset."""

    done: int
    """Pairs that are done."""
    planned: int
    updated: datetime
    """With a time zone."""

    @property
    def percent(self) -> int:
        """Rounded down: 100 only where everything is done."""
        return 100 * self.done // self.planned if self.planned else 0

    @property
    def time(self) -> str:
        """When it was so, in UTC."""
        return f"{self.updated.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, kw_only=True)
class Card:
    """The content of a card. Any text may be a file's name: none breaks YAML, tables or code."""

    name: str
    """The dataset's name for people."""
    format: ExportFormat
    content: str
    """Location of the content pictures; shown without secrets, as all locations."""
    style: str
    """Location of the style pictures."""
    contents: int
    """Different content pictures."""
    styles: int
    """Different style pictures."""
    stylised: int
    """Pictures that are results."""
    originals: int = 0
    """Content pictures mixed in unchanged."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Pictures of each split."""
    failed: int = 0
    failed_names: Sequence[str] = ()
    """Names of failed contents; the first 20 are shown."""
    left_out: int = 0
    left_out_names: Sequence[str] = ()
    """Names of omitted contents; the first 20 are shown."""
    reject: str | None = None
    """Rule on the quality columns, if there is one."""
    rejected: int = 0
    """Pairs that it rejects: they are left out, or marked."""
    marked: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Preset, steps, gamma, temperature, layers, size, fit ... by name; those that are None are not
    shown."""
    method: Method = "styleid"
    model: str | None
    """None where the method has none."""
    revision: str | None = None
    """Commit of a hub model."""
    version: str
    """Version of styleid_ray."""
    labels: Sequence[LabelKind] = ()
    """Kinds of labels in the dataset."""
    configs: Sequence[Mapping[str, Any]] = ()
    """For `datasets.load_dataset`: config_name and data_files of each configuration."""
    hub_id: str | None = None
    """OWNER/NAME on the hub, where the dataset is or will be published."""
    entry: str = ""
    """The file that a reader begins with, below the dataset's folder: an annotation file of coco,
    data.yaml of yolo, a list of voc; a pattern for webdataset and parquet. Default: as exports name
    it."""
    samples: bool = False
    """Whether `samples.jpg` lies beside the card."""
    license: str = "other"
    """Identifier of the whole dataset's licence on the hub."""
    content_licence: str = ""
    style_licence: str = ""
    model_licence: str = ""
    progress: Progress | None = None
    """Shown at the top, for a run that is still under way."""

    @property
    def total(self) -> int:
        """Pictures in all."""
        return self.stylised + self.originals

    def text(self) -> str:
        """The whole README.md."""
        environment = Environment(
            autoescape=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {"inline": _inline, "location": _location}
        template = files("styleid_ray.datasets").joinpath("card.md.j2").read_text(encoding="utf-8")
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {
            "total": self.total,
            "described": METHODS[self.method],
            "front_matter": _dumped(self._front_matter()),
            "samples_name": SAMPLES,
            "named": list(self._named()),
            "parameters": [
                (name, _value(value))
                for name, value in self.parameters.items()
                if value is not None and value != ""
            ],
            "loading_intro": "From the hub:" if self.hub_id else "In this folder:",
            "code": _loading(self),
            "licences": [
                ("content pictures", self.content_licence),
                ("style pictures", self.style_licence),
                *([("model weights", self.model_licence)] if self.model else []),
            ],
        }
        return environment.from_string(template).render(values)

    def _front_matter(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "license": self.license,
            "pretty_name": shown(self.name),
            "task_categories": [_TASKS[kind] for kind in dict.fromkeys(self.labels)],
            "tags": [_TAGS[0], self.method, *_TAGS[1:]],
            "size_categories": [_size_category(self.total)],
            "configs": [_plain(config) for config in self.configs],
        }
        return {name: value for name, value in data.items() if value}

    def _named(self) -> Iterator[tuple[str, int, list[str]]]:
        """Title, count and names of contents missing from the dataset."""
        for title, count, names in (
            ("Failed", self.failed, self.failed_names),
            ("Left out", self.left_out, self.left_out_names),
        ):
            if names:
                yield title, max(count, len(names)), list(names[:_MOST_NAMES])


def strip(pictures: Sequence[tuple[bytes, bytes]], side: int = 192) -> bytes:
    """Sample pictures in one: contents in the upper row, the result of each below it.

    Args:
        pictures: the files of a content and of its result, each; of more than 64, the first ones.
        side: edge of the square that is shown of each picture, in pixels.

    Returns:
        A JPEG file. Pairs with an unreadable picture are skipped; empty when none can be read.
    """
    columns = [column for pair in pictures[:_MOST_SAMPLES] if (column := _column(pair, side))]
    if not columns:
        return b""
    step = side + _GAP
    sheet = Image.new("RGB", (len(columns) * step - _GAP, 2 * step - _GAP), _PAPER)
    for x, column in enumerate(columns):
        for y, image in enumerate(column):
            sheet.paste(image, (x * step, y * step))
    buffer = io.BytesIO()
    sheet.save(buffer, format="jpeg", quality=88)
    return buffer.getvalue()


def _column(pair: tuple[bytes, bytes], side: int) -> list[Image.Image]:
    try:
        return [ImageOps.fit(decode(data, _MOST_PIXELS), (side, side)) for data in pair]
    except RowError:
        return []


def _inline(text: object) -> str:
    """A text as one line of Markdown that is shown as it stands, in a table too."""
    line = shown(str(text or "")).strip()
    if len(line) > _MOST_CHARACTERS:
        line = line[: _MOST_CHARACTERS - 1] + "…"
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line))


def _location(location: str) -> str:
    """As `_inline`, without secrets; and of an absolute local path or a bucket the last part only:
    the text above it names who made the dataset, which means nothing to others."""
    path = local_path(location)
    public = location.startswith(("http://", "https://", "hf://"))
    if not public and (path is None or path.startswith(("/", "~"))):
        path = path or location
        location = "…/" + path.rstrip("/").rpartition("/")[2]
    return _inline(without_secrets(location))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    return without_secrets(str(value))


def _dumped(front_matter: dict[str, Any]) -> str:
    text = yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True, width=10**6)
    return text.rstrip("\n")


def _plain(value: Any) -> Any:
    """Mappings and sequences as YAML's safe dumper takes them."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _size_category(pictures: int) -> str:
    """As the hub names how large a dataset is."""
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B")
    for place, name in enumerate(names):
        if pictures < 10 ** (3 + place):
            return f"{names[place - 1]}<n<{name}" if place else f"n<{name}"
    return "n>1T"


_ENTRIES: Mapping[ExportFormat, str] = {
    "imagefolder": "",
    "coco": "annotations/train.json",
    "voc": "Annotations/*.xml",
    "yolo": "data.yaml",
    "webdataset": "*.tar",
    "parquet": "data/*.parquet",
}


def _loading(card: Card) -> str:
    """Code that opens the dataset: from the hub, or else with its folder as working directory."""
    if card.format in ("imagefolder", "webdataset", "parquet"):
        return _load_dataset(card)
    entry = _quoted("/" + (card.entry or _ENTRIES[card.format]))
    library, line = {
        "coco": ("from pycocotools.coco import COCO", f"coco = COCO(root + {entry})"),
        "voc": ("from glob import glob", f"annotations = sorted(glob(root + {entry}))"),
        "yolo": (
            "from ultralytics import YOLO",
            f'YOLO("yolo11n.pt").train(data=root + {entry})',
        ),
    }[card.format]
    if card.hub_id is None:
        return f'{library}\n\nroot = "."\n{line}'
    return (
        f"from huggingface_hub import snapshot_download\n{library}\n\n"
        f'root = snapshot_download({_quoted(card.hub_id)}, repo_type="dataset")\n{line}'
    )


def _load_dataset(card: Card) -> str:
    entry = card.entry or _ENTRIES[card.format]
    if card.hub_id is not None:
        arguments = _quoted(card.hub_id)
    elif card.format == "imagefolder":
        arguments = '"imagefolder", data_dir="."'
    elif card.configs:
        # Files that are given by one pattern are one split, whatever they hold.
        parts = card.configs[0]["data_files"]
        files = ", ".join(f"{_quoted(p['split'])}: {_quoted(p['path'])}" for p in parts)
        arguments = f'"{card.format}", data_files={{{files}}}'
    else:
        arguments = f'"{card.format}", data_files={_quoted(entry)}'
    streaming = ", streaming=True" if card.format == "webdataset" else ""
    known = card.hub_id is not None or card.configs or card.format == "imagefolder"
    train = not (known and card.splits) or "train" in card.splits
    return (
        "from datasets import load_dataset\n\n"
        f"dataset = load_dataset({arguments}{streaming})\n"
        + ('example = next(iter(dataset["train"]))' if train else "print(dataset)")
    )


def _quoted(text: str) -> str:
    """A text as a literal of Python."""
    plain = text.isprintable() and not set('"\\') & set(text)
    return f'"{text}"' if plain else repr(text)
