"""Where pictures come from, and how they are paired."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from styleid_ray.config.tags import Options, Tag, items
from styleid_ray.errors import ConfigError

Pairing = Literal["cross", "zip", "random", "balanced", "by-class", "nearest", "farthest", "table"]
DRAWING: tuple[Pairing, ...] = ("random", "balanced", "by-class", "nearest", "farthest")
"""Pairings that take `styles_per_content` styles for each content."""
_CHOOSING: tuple[Pairing, ...] = ("cross", *DRAWING)
"""Pairings that choose among all styles."""
StyleClasses = Literal["same", "other"]
DatasetFormat = Literal["auto", "folder", "coco", "voc", "yolo", "parquet", "webdataset"]
StyleFormat = Literal["auto", "folder", "parquet", "webdataset"]

_NUMBER = r"(\d+\.?\d*|\.\d+)"


class SourceOptions(Options):
    """Where pictures come from and how they are paired."""

    group = "source and pairing"

    content: Annotated[str | None, Tag("nothing", usual=True, place=True, written="URL")] = None
    """Folder, file or URL (anything fsspec opens) of the content dataset, walked recursively."""
    content_format: Annotated[DatasetFormat, Tag("nothing")] = "auto"
    """Dataset format of --content; auto recognises it by its files. Labels stay in place
    until `styleid-ray export` joins them to the results."""
    annotations: Annotated[tuple[str, ...], Tag("nothing", place=True, written="FILE,...")] = ()
    """Comma-separated COCO annotation files of --content; default: those in its annotations
    folder."""
    label_masks: Annotated[str | None, Tag("nothing", place=True, written="URL")] = None
    """Folder or URL of label masks, one picture of class numbers per content, with the same
    relative name but ending in .png."""
    splits: Annotated[
        tuple[str, ...], Tag("pairs", written="NAME,...", pairings=("zip", *_CHOOSING))
    ] = ()
    """Comma-separated splits of --content to stylise; default: train if there is one, else all. No
    two splits share a style, except with --pairing zip."""
    share_styles: Annotated[bool, Tag("pairs", pairings=_CHOOSING)] = False
    """Let splits share styles instead of assigning each style to one split."""
    style: Annotated[str | None, Tag("nothing", usual=True, place=True, written="URL")] = None
    """Folder, file or URL of the style pictures, walked recursively."""
    style_format: Annotated[StyleFormat, Tag("nothing")] = "auto"
    """Dataset format of --style; auto recognises it by its files."""
    style_share: Annotated[
        str | None, Tag("pairs", only_if_used=True, written="FROM..TO", pairings=_CHOOSING)
    ] = None
    """Part of the styles to use, by a hash of their names: 0..0.8 holds a fifth of them out, and
    0.8..1 is that fifth, for a validation run."""
    style_weights: Annotated[
        str | None, Tag("nothing", place=True, written="FILE", pairings=("random", "balanced"))
    ] = None
    """CSV, JSONL or Parquet with columns style and weight, for --pairing random or balanced: a
    style of weight 2 is drawn twice as often, 0 never; styles not in the file have weight 1."""
    pairing: Annotated[Pairing, Tag("pairs", usual=True)] = "cross"
    """cross: every content with every style; zip: by order; table: the rows of --table. The others
    choose K styles per content: random; balanced: each style equally often; by-class: by class
    folders; nearest or farthest: by colour and texture."""
    table: Annotated[
        str | None, Tag("nothing", usual=True, place=True, written="FILE", pairings=("table",))
    ] = None
    """CSV, JSONL or Parquet for --pairing table: columns content and style (relative to --content
    and --style, or full URLs), optional gamma, temperature and k; style2 to style9 for several
    styles in one picture, and the weight of style2; mask, a name below --masks; other columns are
    passed through. Or a JSON file {content: [style, ...]}."""
    styles_per_content: Annotated[int, Field(ge=1), Tag("pairs", usual=True)] = 1
    """K, the styles per content of the pairings that choose them."""
    variants: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None, Tag("pairs", only_if_used=True)
    ] = None
    """Versions of each pair, numbered k = 0, 1, ..., that differ in what --gamma and --temperature
    draw; default: one per combination of their lists."""
    style_classes: Annotated[
        StyleClasses, Tag("pairs", only_if_used=True, pairings=("by-class",))
    ] = "same"
    """With --pairing by-class, whose classes are the pictures' folders: styles of the content's
    own class, or of any other."""
    class_column: Annotated[
        str | None, Tag("pairs", only_if_used=True, written="NAME", pairings=("by-class",))
    ] = None
    """With --pairing by-class: column of --content's labels that names the class; default: its
    folder."""
    seed: Annotated[int, Field(ge=0), Tag("pairs", usual=True)] = 0
    """Seed of everything that is drawn: styles, and values of a range."""
    reuse: Annotated[bool, Tag("pairs", pairings=("random",))] = False
    """With --pairing random and two or more styles per content: contents in random groups share the
    styles they draw from, so that shards invert fewer pictures."""
    masks: Annotated[str | None, Tag("nothing", place=True, needs="styleid", written="URL")] = None
    """Folder or URL of strength masks, one grey picture per content, of its size after EXIF
    rotation, with the same relative name but ending in .png: black keeps the content as the
    autoencoder reproduces it (with --detail 1 exactly), white is stylised. Masks cannot be added to
    an existing run."""
    region_styles: Annotated[
        str | None,
        Tag(
            "picture",
            needs="styleid",
            only_if_used=True,
            written="CLASS=COLUMN,...",
            pairings=("table",),
        ),
    ] = None
    """With --label-masks and --pairing table: classes (0 to 255) with a style of their own and the
    column that names it, such as 1=style2,7=style3; all others take the column style."""

    @field_validator("annotations", "splits", mode="before")
    @classmethod
    def _names_from_text(cls, value: Any) -> Any:
        return items(value)

    @field_validator("style_share")
    @classmethod
    def _share_is_an_interval(cls, value: str | None) -> str | None:
        if value is not None:
            parse_share(value)
        return value


def parse_share(text: str) -> tuple[float, float]:
    """The interval of a text such as 0..0.8.

    Raises:
        ConfigError: it is no interval within 0..1.
    """
    example = "write it as 0..0.8; 0.8..1 is then the rest"
    ends = re.fullmatch(rf"\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*", text)
    if ends is None:
        raise ConfigError(f"--style-share {text!r} is no interval: {example}")
    low, high = map(float, ends.groups())
    if high > 1:
        raise ConfigError(f"--style-share {text}: must lie within 0..1: {example}")
    if low >= high:
        raise ConfigError(f"--style-share {text}: the first number must be the smaller one")
    return low, high
