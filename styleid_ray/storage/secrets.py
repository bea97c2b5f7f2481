"""The secrets in a location: passwords, and the signatures of presigned URLs.

A key names a picture in the plan, in the dataset and in messages; it must neither hold a secret nor
change when a URL is signed again. `FullURLs` keeps, in memory alone, the URL to fetch it from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import shown

_CHAIN = re.compile(r"(::)(?=[A-Za-z][A-Za-z0-9+.\-]*://)")
# Parameters of a query that sign it, and those that unlock it.
_SIGNATURE = re.compile(
    r"^x-(?:amz|goog|oss|obs|tos|cos|ms)-|^q-|(?:^|[-_.])sig(?:n|nature)?$|^hmac$"
    r"|^(?:aws|google|oss|obs)?access(?:key)?_?id$|^expires$|^policy$|^key-pair-id$",
    re.IGNORECASE,
)
_UNLOCKING = re.compile(
    r"(?:^|[-_.])(?:token|secret|password|passwd|pwd|credentials?|auth|authorization|jwt"
    r"|(?:api|access)[-_.]?key|key)$",
    re.IGNORECASE,
)
# The parts of an Azure shared access signature; they are one where "sig" is among them.
_SHARED_ACCESS = frozenset(
    (
        *("sv", "ss", "srt", "sp", "st", "se", "spr", "sip", "sr", "sdd", "saoid", "suoid"),
        *("scid", "skoid", "sktid", "skt", "ske", "sks", "skv"),
    )
)
_WEB = ("http", "https")


def without_secrets(location: str) -> str:
    """A key or URL without passwords and signatures; one without any is returned unchanged.

    In the query of an http(s) URL, the parameters that sign or unlock it are dropped; those that
    tell one picture from another (`?id=5`) stay. Only URLs have a query and a user part, so
    paths and the keys of object stores do not change.
    """
    if "://" not in location or not ("?" in location or "@" in location):
        return location
    return "".join(map(_without_secrets, _CHAIN.split(location)))


def _without_secrets(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    web = scheme.lower() in _WEB
    place = re.match(r"[^/?#]*", rest)[0] if web else rest.partition("/")[0]  # pyright: ignore
    path = rest[len(place) :]
    user, at, host = place.rpartition("@")
    if at and (web or ":" in user):
        place = host
    if web:
        path, question, query = path.partition("?")
        kept = _kept(query)
        path += question * bool(kept) + kept
    return f"{scheme}://{place}{path}"


def _kept(query: str) -> str:
    parts = query.split("&")
    names = [unquote(part.partition("=")[0]) for part in parts]
    shared = _SHARED_ACCESS if "sig" in names else frozenset()
    return "&".join(
        part
        for part, name in zip(parts, names, strict=True)
        if part
        and name not in shared
        and not _SIGNATURE.search(name)
        and not _UNLOCKING.search(name)
    )


def _is_signed(url: str) -> bool:
    names = [unquote(part.partition("=")[0]) for part in url.partition("?")[2].split("&")]
    return any(map(_SIGNATURE.search, names))


def scrubbed(text: str, options: Mapping[str, object] | None) -> str:
    """A message without the values of storage options that are texts: keys, secrets, tokens."""
    for value in sorted(_texts(options), key=len, reverse=True):
        text = text.replace(value, "...")
    return text


def _texts(options: object) -> Iterator[str]:
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, (list, tuple)):
        for inner in options:
            yield from _texts(inner)
    # Short ones and addresses are no secrets, and messages need them.
    elif isinstance(options, str) and len(options) >= 6 and "://" not in options:
        yield options


class FullURLs:
    """The URLs of keys that lack their secrets.

    Held in a few flat buffers: Ray's workers map them from shared memory and copy nothing, however
    many there are.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        """The URL of each key."""
        digests = _digests(urls)
        order = np.argsort(digests)
        self._digests = digests[order]
        self._urls = pa.array(list(urls.values()), pa.large_string()).take(pa.array(order))

    @classmethod
    def of(cls, urls: Iterable[str]) -> FullURLs | None:
        """The URLs that hold secrets, under their keys; None when there are none.

        Raises:
            SourceError: two URLs have one key and are not one URL signed twice.
        """
        full: dict[str, str] = {}
        for url in urls:
            key = without_secrets(url)
            if key == url:
                continue
            if full.setdefault(key, url) != url and not (_is_signed(url) and _is_signed(full[key])):
                raise SourceError(
                    f"two URLs of {shown(key)} differ in a password or token alone, which is no "
                    "part of a picture's name: use one of them, or names that tell them apart"
                )
            full[key] = url
        return cls(full) if full else None

    def get(self, key: str) -> str | None:
        """The URL to fetch a key from, when it has one of its own."""
        wanted = _digests([key])[0]
        at = int(np.searchsorted(self._digests, wanted))
        known = at < len(self._digests) and self._digests[at] == wanted
        return self._urls[at].as_py() if known else None


def _digests(keys: Iterable[str]) -> np.ndarray:
    data = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(data, "<u8")
