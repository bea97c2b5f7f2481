"""The secrets in a location: passwords, and the signatures of presigned URLs.

A key names a picture in the plan, in the dataset and in messages. It must not hold a secret, nor
change when a URL is signed again. `FullURLs` keeps the URLs to fetch from, in memory only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import CHAIN, shown

# Query parameters that sign a URL, and those that unlock it.
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
# The parameters of an Azure shared access signature, which always has "sig" among them.
_SHARED_ACCESS = frozenset(
    (
        *("sv", "ss", "srt", "sp", "st", "se", "spr", "sip", "sr", "sdd", "saoid", "suoid"),
        *("scid", "skoid", "sktid", "skt", "ske", "sks", "skv"),
    )
)


def without_secrets(location: str) -> str:
    """A key or URL without passwords and signatures; one without any is returned unchanged.

    In the query of an http(s) URL, parameters that sign or unlock it are dropped, and those that
    distinguish pictures (`?id=5`) stay. Only URLs have a query and a user part, so paths and the
    keys of object stores do not change.
    """
    if "://" not in location or not ("?" in location or "@" in location):
        return location
    return "::".join(map(_without_secrets, CHAIN.split(location)))


def _without_secrets(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    web = scheme.lower() in ("http", "https")
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
    """A message without the texts among the storage options: keys, secrets, tokens."""
    for value in sorted(_texts(options), key=len, reverse=True):
        text = text.replace(value, "...")
    return text


def _texts(options: object) -> Iterator[str]:
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, (list, tuple)):
        for inner in options:
            yield from _texts(inner)
    # Short texts and addresses are no secrets, and messages need them.
    elif isinstance(options, str) and len(options) >= 6 and "://" not in options:
        yield options


class FullURLs:
    """The URL of each key whose secrets were removed.

    They are held in a few flat buffers, which Ray's workers map from shared memory without a copy.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        hashes = digests(urls)
        order = np.argsort(hashes)
        self._digests = hashes[order]
        self._urls = pa.array(list(urls.values()), pa.large_string()).take(pa.array(order))

    @classmethod
    def of(cls, urls: Iterable[str]) -> FullURLs | None:
        """The URLs that hold secrets, under their keys; None when there are none.

        Raises SourceError when two different URLs, not one URL signed twice, have the same key.
        """
        full: dict[str, str] = {}
        for url in urls:
            key = without_secrets(url)
            if key == url:
                continue
            if full.setdefault(key, url) != url and not (_is_signed(url) and _is_signed(full[key])):
                raise SourceError(
                    f"two URLs of {shown(key)} differ only in a password or token, which is no "
                    "part of a picture's name: use one of them, or names that differ"
                )
            full[key] = url
        return cls(full) if full else None

    def get(self, key: str) -> str | None:
        """The URL to fetch a key from; None when the key itself is the URL."""
        wanted = digests([key])[0]
        at = int(np.searchsorted(self._digests, wanted))
        known = at < len(self._digests) and self._digests[at] == wanted
        return self._urls[at].as_py() if known else None


def digests(texts: Iterable[str]) -> np.ndarray:
    """A stable hash of each text, uint64 [T]."""
    data = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(data, "<u8")
