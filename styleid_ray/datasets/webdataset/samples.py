"""Samples of WebDataset: the members of a tar that share a name."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.members import Range
from styleid_ray.storage.tars import Member, TarError

# Bytes that are not UTF-8 are surrogates in names.
_NAME = re.compile(r"(?!.*[\ud800-\udfff])((?:.*/|)[^./]+)\.([^/]+)\Z", re.DOTALL)
_META = re.compile(r"__[^/]*__(?:$|/)")
_PREFERRED = ("jpg", "jpeg", "png", "webp")
_OUTSIDE = "members of tars that belong to no sample"
WITHOUT_PICTURE = "samples without a picture"


@dataclass(frozen=True)
class Sample:
    """Adjacent members that share a name."""

    name: str
    """Folders, and the base name up to its first dot."""
    members: dict[str, Member]
    """By the suffix after that dot."""

    @property
    def range(self) -> Range:
        """The bytes from the first member's headers to the end of the last one's padding."""
        ones = list(self.members.values())
        return Range(ones[0].start, ones[-1].end - ones[0].start)

    @property
    def picture(self) -> str | None:
        """The suffix of the picture: exactly an extension of pictures, so that `0001.mask.png` is a
        label. With several, jpg is preferred, then jpeg, png, webp, others; the rest are labels."""
        kinds = picture_extensions()
        pictures = [suffix for suffix in self.members if f".{suffix.lower()}" in kinds]
        return min(pictures, key=_rank, default=None)


def samples(members: Iterable[Member], skipped: Counter[str]) -> Iterator[Sample]:
    """The samples among the members of a tar; raises TarError when two members of a sample have the
    same name.

    Args:
        skipped: counts the links, and the files whose names belong to no sample.
    """
    for name, ones in groupby(_named(members, skipped), key=lambda one: one[0]):
        sample = Sample(name, {})
        for _, suffix, member in ones:
            if suffix in sample.members:
                raise TarError(f"{name}.{suffix} is in it twice")
            sample.members[suffix] = member
        yield sample


def _named(members: Iterable[Member], skipped: Counter[str]) -> Iterator[tuple[str, str, Member]]:
    for member in members:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        name = "/".join(parts)
        match = _NAME.match(name)
        if _META.match(name) or name.rpartition("/")[2].startswith("."):
            continue
        if match is None or ".." in parts or not member.regular:
            skipped[_OUTSIDE] += 1
        else:
            yield match[1], match[2], member


def _rank(suffix: str) -> int:
    suffix = suffix.lower()
    return _PREFERRED.index(suffix) if suffix in _PREFERRED else len(_PREFERRED)
