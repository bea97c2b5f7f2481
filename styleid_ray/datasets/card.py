"""The card of an exported dataset: the README.md that the Hugging Face hub shows."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
_MOST_NAMES = 20
_MOST_CHARACTERS = 300
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&$]|^[-+#=]")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s)")

_ENTRIES: Mapping[ExportFormat, str] = {
    "imagefolder": "",
    "coco": "annotations/train.json",
    "voc": "Annotations/*.xml",
    "yolo": "data.yaml",
    "webdataset": "*.tar",
    "parquet": "data/*.parquet",
}

_MOST_PIXELS = 64_000_000
"""Larger pictures are not decoded for a sample."""
_GAP, _PAPER = 4, (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class Card:
    """The content of a card. Texts may be file names with any characters, which break neither YAML
    nor tables nor code."""

    name: str
    """The dataset's name for readers."""
    format: ExportFormat
    content: str
    """Location of the content pictures; as all locations, it is shown without secrets."""
    style: str
    """Location of the style pictures."""
    contents: int
    """Different content pictures."""
    styles: int
    """Different style pictures."""
    stylised: int
    """Results."""
    originals: int = 0
    """Content pictures mixed in unchanged."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Number of pictures per split."""
    failed: int = 0
    failed_names: Sequence[str] = ()
    """Names of failed contents; the first 20 are shown."""
    left_out: int = 0
    left_out_names: Sequence[str] = ()
    """Names of omitted contents; the first 20 are shown."""
    reject: str | None = None
    """Rule on the quality columns, if there is one."""
    rejected: int = 0
    """Pairs that the rule rejects."""
    marked: bool = False
    """Whether rejected pairs are in the dataset, with a mark."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Preset, steps, gamma, temperature, layers, size, fit ... by name; None is not shown."""
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
    """The file to load, below the dataset's folder: an annotation file of coco, data.yaml of yolo;
    a pattern for voc, webdataset and parquet. Default: its name in exports."""
    samples: bool = False
    """Whether `samples.jpg` lies beside the card."""
    progress: str = ""
    """How far a run under way is, shown at the top."""

    def text(self) -> str:
        """The whole README.md."""
        environment = Environment(
            autoescape=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {"inline": _inline, "location": _location, "literal": _literal}
        template = files("styleid_ray.datasets").joinpath("card.md.j2").read_text(encoding="utf-8")
        parameters = [(n, _value(v)) for n, v in self.parameters.items() if v not in (None, "")]
        known = self.hub_id is not None or self.configs or self.format == "imagefolder"
        values = {
            **vars(self),
            "described": METHODS[self.method],
            "front_matter": self._front_matter(),
            "samples_name": SAMPLES,
            "missing": [
                ("Failed", self.failed, self.failed_names[:_MOST_NAMES]),
                ("Left out", self.left_out, self.left_out_names[:_MOST_NAMES]),
            ],
            "parameters": parameters,
            "entry": self.entry or _ENTRIES[self.format],
            "has_train": not (known and self.splits) or "train" in self.splits,
        }
        return environment.from_string(template).render(values)

    def _front_matter(self) -> str:
        data: dict[str, Any] = {
            "license": "other",
            "pretty_name": shown(self.name),
            "task_categories": [_TASKS[kind] for kind in dict.fromkeys(self.labels)],
            "tags": ["style-transfer", self.method, "data-augmentation"],
            "size_categories": [_size_category(self.stylised + self.originals)],
            "configs": list(self.configs),
        }
        filled = {name: value for name, value in data.items() if value}
        text = yaml.safe_dump(filled, sort_keys=False, allow_unicode=True, width=10**6)
        return text.rstrip("\n")


def strip(pictures: Sequence[tuple[bytes, bytes]], side: int = 192) -> bytes:
    """One picture of samples: contents in the upper row, their results below.

    Args:
        pictures: the files of a content and its result per pair, a few pairs.
        side: pixels per side of the square crop of each picture.

    Returns:
        A JPEG file without pairs that have an unreadable picture; empty when none can be read.
    """
    columns = [column for pair in pictures if (column := _column(pair, side))]
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
    """A text as one line of Markdown, escaped, also for a table."""
    line = shown(str(text or "")).strip()
    if len(line) > _MOST_CHARACTERS:
        line = line[: _MOST_CHARACTERS - 1] + "…"
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line))


def _location(location: str) -> str:
    """A location as `_inline`, without secrets. Only the last part of an absolute local path or a
    bucket is shown: the rest concerns the dataset's maker and means nothing to others."""
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


def _size_category(pictures: int) -> str:
    """The hub's category for a dataset's size."""
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B")
    for place, name in enumerate(names):
        if pictures < 10 ** (3 + place):
            return f"{names[place - 1]}<n<{name}" if place else f"n<{name}"
    return "n>1T"


def _literal(text: str) -> str:
    """A text as a Python literal."""
    plain = text.isprintable() and not set('"\\') & set(text)
    return f'"{text}"' if plain else repr(text)
