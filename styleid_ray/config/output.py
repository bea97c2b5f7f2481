"""What is written, and where."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from styleid_ray.config.tags import Options, Tag
from styleid_ray.errors import ConfigError
from styleid_ray.quality.rule import parse_rule

OutputFormat = Literal["parquet", "files"]
PictureFormat = Literal["png", "jpeg", "webp"]
ExportFormat = Literal["imagefolder", "coco", "voc", "yolo", "webdataset", "parquet"]


class OutputOptions(Options):
    """What is written, and where."""

    group = "output"

    output: Annotated[str, Tag("nothing", usual=True, place=True, written="URL")]
    """Folder or URL of the run: dataset, errors, plan and summary. Running again resumes."""
    extend: Annotated[bool, Tag("nothing", usual=True)] = Field(default=False, exclude=True)
    """List the sources of a run again and add the pairs that its plan lacks, in new shards. Without
    it, a run is resumed as it was planned."""
    format: Annotated[OutputFormat, Tag("encoding")] = "parquet"
    """parquet: pictures inside the Parquet files of shards; files: beside them, in images/."""
    picture_format: Annotated[PictureFormat, Tag("encoding", usual=True)] = "png"
    """Encoding of the result pictures."""
    quality: Annotated[int, Field(ge=1, le=100), Tag("encoding")] = 95
    """Quality of jpeg and webp (100 is lossless for webp)."""
    export: Annotated[ExportFormat | None, Tag("nothing", usual=True)] = None
    """When every pair is finished, export the run in this format to OUTPUT/export/FORMAT, like
    `styleid-ray export`."""
    push_to: Annotated[str | None, Tag("nothing", written="OWNER/NAME")] = None
    """With --export: upload the export to the dataset OWNER/NAME on the Hugging Face hub; its card
    shows the run's progress."""
    reject: Annotated[str | None, Tag("nothing", written="RULE")] = None
    """Rule on the quality columns (docs/quality.md), such as "structure<0.4 or blank>0.9": pairs
    that an export leaves out and `retry --rejected` makes again. They are still made."""

    @field_validator("reject")
    @classmethod
    def _reject_is_a_rule(cls, value: str | None) -> str | None:
        return None if value is None else str(parse_rule(value))


def mix_ratio(text: str | None) -> float | None:
    """Stylised pictures per original, of K:1; None for no originals.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*:\s*1\s*", text)
    if number is None or float(number[1]) <= 0:
        raise ConfigError(
            f"--mix {text!r}: must be K:1, such as 4:1 for one original per four stylised pictures"
        )
    return float(number[1])
