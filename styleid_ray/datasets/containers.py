"""Large files that hold many pictures each: tars and Parquet files."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import split_name
from styleid_ray.storage.locations import is_absolute, join, shown
from styleid_ray.storage.members import container
from styleid_ray.storage.secrets import FullURLs, without_secrets
from styleid_ray.storage.version import size_in

INDEX = pa.schema([(n, pa.string()) for n in ("key", "place", "version", "split")])
"""Pictures of some containers, by the columns of `Source`; the split is '' without splits."""
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
    """'' unless every container has a split."""

    @property
    def size(self) -> int | None:
        """Its number of bytes, where the listing has it."""
        return size_in(self.version)

    def version_of(self, size: int) -> str:
        """The version of a picture of `size` bytes in it."""
        return f"{size}:{self.version.partition(':')[2]}"


def has_no_pictures(files: Files) -> bool:
    """Whether no file is a picture itself, except for the samples of a card."""
    from styleid_ray.datasets.card import SAMPLES

    return all(name == SAMPLES for name in files.pictures().names)


def containers(files: Files, options: DatasetOptions, *, need_train: bool) -> list[Container]:
    """The containers among files of one kind, in the order of their pictures' keys; raises
    SourceError where a folder is named like a container.

    Args:
        need_train: read splits from names only when one of them is train.
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
    key, place, version, split = map(Keys.column, table.columns)
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
    """Files other than the containers, counted by kind."""
    return files.kinds() - held.kinds() + Counter(files.nameless)


def split_of(name: str) -> str | None:
    """The split in a file's name, by the rules of Hugging Face: from a folder, or else from a word
    of the file's own name; any WORD in `WORD-00000-of-00004`."""
    *folders, file = name.rstrip("/").split("/") if not is_absolute(name) else [name]
    for part in [*reversed(folders), file.partition(".")[0]]:
        for word in _WORDS.split(part):
            split = split_name(word) or _ALSO.get(word.lower())
            if split:
                return split
    sharded = _SHARDED.match(name)
    return sharded[1] if sharded else None


def folder_name(text: str) -> str:
    """A class name as a folder name; '' where nothing of it can be one."""
    text = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text.strip())
    text = text.encode()[:_MOST_FOLDER_BYTES].decode(errors="ignore").strip()
    return "" if text in (".", "..") else text


def _splits(names: Sequence[str], need_train: bool) -> dict[str, str]:
    splits = {name: split for name in names if (split := split_of(name))}
    if len(splits) < len(names) or (need_train and "train" not in splits.values()):
        return {}
    return splits
