"""Large files that hold many pictures each: tars and Parquet files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from styleid_ray.datasets.files import Files, one_chunk
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import split_name
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.locations import is_absolute, join, shown
from styleid_ray.storage.members import container
from styleid_ray.storage.secrets import FullURLs, without_secrets
from styleid_ray.storage.version import size_in

INDEX = pa.schema([(n, pa.string()) for n in ("key", "place", "version", "split")])
"""Pictures of some containers: as `Source` has them, '' for the split of one that has none."""
_WORDS = re.compile(r"[-._ 0-9]+")
_SHARDED = re.compile(r"(?:.*/)?(\w+)-\d{5}-of-\d{5}\b[^/]*\Z")
_ALSO = {"eval": "test", "evaluation": "test"}
_MOST_FOLDER_BYTES = 200


@dataclass(frozen=True)
class Container:
    """A file that holds pictures."""

    name: str
    """Its key: relative to the source's root, without secrets."""
    url: str = field(repr=False)
    version: str
    split: str
    """'' where not all have one."""

    @property
    def size(self) -> int | None:
        """Its bytes, where the listing has them."""
        return size_in(self.version)

    def version_of(self, size: int) -> str:
        """The version of a picture in it, of this many bytes."""
        return f"{size}:{self.version.partition(':')[2]}"


def has_no_pictures(files: Files) -> bool:
    """Whether no pictures lie loose among the files, except for the samples of a card."""
    from styleid_ray.datasets.card import SAMPLES

    return all(name == SAMPLES for name in files.ending(*picture_extensions()).names)


def containers(files: Files, options: DatasetOptions, *, need_train: bool) -> list[Container]:
    """The containers among files of one kind, in the order of their pictures' keys.

    Args:
        need_train: take names for splits only when one of them is train.

    Raises:
        SourceError: a folder has the name of a container.
    """
    urls = [join(files.root, name) for name in files.names]
    names = list(files.names)
    if files.is_web:
        root = without_secrets(files.root)
        names = [without_secrets(url).removeprefix(root) for url in urls]
    for name in names:
        if container(f"{name}/") != name:
            raise options.fault(
                f"{shown(name)} lies in a folder that is named like a file, "
                f"{shown(container(f'{name}/'))}: rename the folder"
            )
    splits = _splits(names, need_train) if options.what == "content" else {}
    held = [
        Container(name, url, version, splits.get(name, ""))
        for name, url, version in zip(names, urls, files.versions, strict=True)
    ]
    return sorted(held, key=lambda one: f"{one.name}/")


def source_of(
    files: Files,
    held: Sequence[Container],
    options: DatasetOptions,
    indices: Iterable[pa.Table],
    skipped: Mapping[str, int],
) -> Source:
    """The pictures of all containers, from their indices in any order."""
    table = pa.concat_tables([INDEX.empty_table(), *indices])
    table = table.sort_by("key").combine_chunks()
    key, place, version, split = (Keys(one_chunk(table[name])) for name in INDEX.names)
    return Source(
        files.root,
        key,
        dict(options.storage_options or {}),
        FullURLs.of(one.url for one in held) if files.is_web else None,
        version,
        skipped,
        place,
        split if any(one.split for one in held) else None,
    )


def others(files: Files, held: Files) -> Counter[str]:
    """Files that are none of the containers, counted by kind."""
    return files.kinds() - held.kinds() + Counter(files.nameless)


def split_of(name: str) -> str | None:
    """The split in a file's name, as Hugging Face reads it: by a folder, or else by a word
    of its own name; of `WORD-00000-of-00004`, any word."""
    *folders, file = name.rstrip("/").split("/") if not is_absolute(name) else [name]
    for part in [*reversed(folders), file.partition(".")[0]]:
        for word in _WORDS.split(part):
            split = split_name(word) or _ALSO.get(word.lower())
            if split:
                return split
    sharded = _SHARDED.match(name)
    return sharded[1] if sharded else None


def folder_name(text: str) -> str:
    """The name of a class as that of a folder; '' for one that has none."""
    text = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text.strip())
    text = text.encode()[:_MOST_FOLDER_BYTES].decode(errors="ignore").strip()
    return "" if text in (".", "..") else text


def _splits(names: Sequence[str], need_train: bool) -> dict[str, str]:
    splits = {name: split for name in names if (split := split_of(name))}
    if len(splits) < len(names) or (need_train and "train" not in splits.values()):
        return {}
    return splits
