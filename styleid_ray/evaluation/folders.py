"""Pictures of any method in three folders, named as in the authors' code."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from PIL import Image

from styleid_ray.batch.watch.progress import counted
from styleid_ray.datasets.files import list_files
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.evaluation.pictures import Result
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.imaging.guard import quiet_pillow
from styleid_ray.storage.fetch import fetch
from styleid_ray.storage.locations import Options, join, shown

BETWEEN = "_stylized_"
"""Separates the names of content and style in the name of a result."""
_UNIT = 16
_MOST_PIXELS = 256_000_000
Names = tuple[str, str, str]
"""File names of a result, its content and its style."""


@dataclass(frozen=True)
class FolderResults:
    """Results in a folder, with their contents and styles in two more; picklable and light."""

    roots: Mapping[str, str]
    """Roots by "stylized", "content" and "style"."""
    names: tuple[Names, ...] = field(repr=False)
    others: int = 0
    """Pictures in the folder of results that are not named as a result."""
    storage_options: Options = None

    @classmethod
    def find(
        cls, stylized: str, content: str, style: str, storage_options: Options = None
    ) -> FolderResults:
        """Lists the folders and matches the names.

        Raises:
            SourceError: a folder is missing or cannot be read.
            ConfigError: there is no result, or the source of one is missing or not unique.
        """
        given = {"stylized": stylized, "content": content, "style": style}
        roots, files = {}, {}
        for role, url in given.items():
            listed = list_files(url, role, storage_options)
            roots[role] = listed.root
            files[role] = list(listed.ending(*picture_extensions()).names)
        sources = {role: _by_stem(files[role]) for role in ("content", "style")}
        results = [name for name in files["stylized"] if BETWEEN in _stem(name)]
        if not results:
            raise ConfigError(
                f"--stylized {shown(stylized)} has no picture named CONTENT{BETWEEN}STYLE.png"
            )
        names = tuple(_matched(name, sources, given) for name in results)
        others = len(files["stylized"]) - len(names)
        return cls(roots, names, others, storage_options)

    @property
    def count(self) -> int:
        """All results."""
        return len(self.names)

    @property
    def remarks(self) -> list[str]:
        """A line on pictures that are left out."""
        if not self.others:
            return []
        return [f"{counted(self.others, 'picture')} left out: not named CONTENT{BETWEEN}STYLE"]

    def units(self) -> list[tuple[Names, ...]]:
        """A few results each, results of one content together."""
        ordered = sorted(self.names, key=lambda names: names[1:])
        return [tuple(ordered[i : i + _UNIT]) for i in range(0, len(ordered), _UNIT)]

    def groups(self, unit: tuple[Names, ...]) -> Iterator[list[Result]]:
        """The pictures of a unit."""
        yield [Result(content, style, self._result(name), name) for name, content, style in unit]

    def source(self, role: str, key: str, place: str | None) -> Image.Image:
        """A content or a style, by its file's name."""
        return self._read(role, key)

    def _result(self, name: str) -> Image.Image | RowError:
        try:
            return self._read("stylized", name)
        except RowError as e:
            return e

    def _read(self, role: str, name: str) -> Image.Image:
        """A picture as the authors read it: neither turned by its metadata nor laid over white."""
        data = fetch(join(self.roots[role], name), self.storage_options).data
        try:
            with quiet_pillow(_MOST_PIXELS), Image.open(io.BytesIO(data)) as image:
                return image.convert("RGB")
        except Exception as e:  # damaged files make decoders raise nearly anything
            raise RowError("decode", f"not a picture that can be read ({e})") from e


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _by_stem(names: list[str]) -> dict[str, list[str]]:
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(_stem(name), []).append(name)
    return by_stem


def _matched(
    name: str, sources: Mapping[str, dict[str, list[str]]], given: Mapping[str, str]
) -> Names:
    """A result with the files of its content and style."""
    parts = _stem(name).split(BETWEEN)
    splits = [(BETWEEN.join(parts[:at]), BETWEEN.join(parts[at:])) for at in range(1, len(parts))]
    for content, style in splits:
        if content in sources["content"] and style in sources["style"]:
            originals = sources["content"][content], sources["style"][style]
            break
    else:
        content, style = splits[0]
        role = "style" if content in sources["content"] else "content"
        stem = style if role == "style" else content
        raise ConfigError(
            f"--{role} {shown(given[role])} has no picture {shown(stem)!r}, which "
            f"{shown(name)} in --stylized was made of"
        )
    for role, files in zip(("content", "style"), originals, strict=True):
        if len(files) > 1:
            raise ConfigError(
                f"--{role} {shown(given[role])} has several pictures of one name "
                f"({shown(files[0])}, {shown(files[1])}): {shown(name)} may be made of either"
            )
    return name, originals[0][0], originals[1][0]
