"""The pictures of WebDataset's tars, one per sample."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import pyarrow as pa

from styleid_ray.datasets.containers import (
    INDEX,
    Container,
    containers,
    has_no_pictures,
    others,
    source_of,
)
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.webdataset.samples import WITHOUT_PICTURE, Sample, samples
from styleid_ray.storage.locations import shown
from styleid_ray.storage.members import tar_place
from styleid_ray.storage.tars import TarError, members, open_tar

_TARS = r"(?is).*\.tar(?:\.\w+|\?.*)?\Z|.*\.t[gbx]z2?\Z"
_COMPRESSED = r"(?is).*\.(?:tar\.(?:gz|bz2|xz|zst|lz4)|t[gbx]z2?)\Z"
_CHUNK = 2**14


def recognises(files: Files) -> bool:
    """Whether these are tars without pictures beside them."""
    return bool(files.matching(_TARS).names) and has_no_pictures(files)


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures of all samples, from the tars' headers, which `options.spread` reads.

    The picture of a sample is its member `NAME.jpg`, or NAME with another extension of pictures;
    `NAME.mask.png` is a label. If a sample has NAME.jpg and NAME.png, the JPEG is the picture and
    the PNG a label. Samples without a picture count as skipped.
    """
    compressed = files.matching(_COMPRESSED).names
    if compressed:
        raise options.fault(
            f"{shown(compressed[0])} is compressed, so single pictures cannot be read from it: "
            "unpack it and make a plain .tar (pictures are compressed already)"
        )
    tars = files.ending(".tar")
    if not tars.names:
        raise options.fault(f"{shown(files.url)} holds no .tar files; name a folder of them")
    held = containers(tars, options, need_train=True)
    read = partial(_index, options=replace(options, spread=in_threads))
    indexes = list(options.spread(read, held))
    skipped = sum((one.skipped for one in indexes), others(files, tars))
    if not any(one.table.num_rows for one in indexes):
        example = next((one.example for one in indexes if one.example), "")
        first = f" (the first file is {shown(example)})" if example else ""
        raise options.fault(
            f"{shown(files.url)}: {len(held)} tars, and no sample with a picture{first}; the "
            "picture of a sample is named NAME.jpg, its labels NAME.cls, NAME.json ..."
        )
    return source_of(files, held, options, (one.table for one in indexes), skipped)


@dataclass(frozen=True)
class _Index:
    """The pictures of a tar."""

    table: pa.Table
    """`INDEX`, a row per sample with a picture."""
    skipped: Counter[str]
    example: str
    """A member of the first sample."""


def _index(tar: Container, options: DatasetOptions) -> _Index:
    skipped: Counter[str] = Counter()
    seen: list[Sample] = []
    try:
        with open_tar(tar.url, options.storage_options, tar.size) as file:
            rows = _rows(tar, samples(members(file), skipped), seen, skipped)
            table = pa.concat_tables([INDEX.empty_table(), *_tables(rows)])
    except TarError as error:
        raise options.fault(
            f"{shown(tar.name)} is not a readable tar ({shown(str(error))}): copy it again, or "
            "recreate it with the members of a sample side by side, or leave it out"
        ) from error
    except Exception as error:  # each filesystem has its own errors
        raise options.unreadable(tar.name, error) from error
    example = next((f"{s.name}.{suffix}" for s in seen for suffix in s.members), "")
    return _Index(table, skipped, example)


def _rows(
    tar: Container, members: Iterable[Sample], seen: list[Sample], skipped: Counter[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Rows of `INDEX`; the first sample is added to those seen."""
    names: set[str] = set()
    for sample in members:
        if sample.name in names:
            raise TarError(f"the members of {sample.name} are not side by side")
        names.add(sample.name)
        seen += [sample] if not seen else []
        suffix = sample.picture
        if suffix is None:
            skipped[WITHOUT_PICTURE] += 1
            continue
        where = sample.members[suffix].data
        key = f"{tar.name}/{sample.name}.{suffix}"
        yield key, tar_place(where, sample.range), tar.version_of(where.size), tar.split


def _tables(rows: Iterator[tuple[str, ...]]) -> Iterator[pa.Table]:
    while chunk := list(islice(rows, _CHUNK)):
        columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
        yield pa.table(columns, schema=INDEX)
