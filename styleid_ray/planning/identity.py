"""Names that follow from content alone: of pairs, and of shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

ID_LENGTH = 32
"""Hexadecimal digits of a pair's id."""


def pair_ids(
    contents: Sequence[str],
    styles: Sequence[str],
    ks: Sequence[int],
    gammas: Sequence[float | None] | None,
    temperatures: Sequence[float | None] | None,
    fingerprint: str,
) -> list[str]:
    """The ids of pairs: 32 hexadecimal digits, the same on every machine.

    Args:
        contents, styles: keys of each pair's pictures.
        ks: replicate number of each pair.
        gammas, temperatures: each pair's own parameters; None stands for the job's.
        fingerprint: of everything else that decides the result (`JobConfig.fingerprint`).

    Returns:
        One id a pair, in order. The same fields give the same id; others another.
    """
    content_keys, content_index = _dictionary(contents)
    style_keys, style_index = _dictionary(styles)
    return hex_ids(
        pair_digests(
            text_digests(content_keys)[content_index],
            text_digests(style_keys)[style_index],
            np.asarray(ks, np.int64),
            _floats(gammas),
            _floats(temperatures),
            fingerprint,
        )
    )


def pair_digests(
    contents: np.ndarray,
    styles: np.ndarray,
    ks: np.ndarray,
    gammas: np.ndarray | None,
    temperatures: np.ndarray | None,
    fingerprint: str,
) -> bytes:
    """`pair_ids` for columns [P]: keys as their `text_digests`, NaN for the job's own value.

    Returns the P digests of 16 bytes one after the other. A pair's digest is taken of a record
    of fixed width, in which each text is replaced by its own digest: no two sets of fields
    share a record.
    """
    text = [(name, "V16") for name in ("job", "content", "style")]
    record = np.zeros(len(contents), [*text, ("numbers", "<f8", 2), ("k", "<i8")])
    record["job"] = text_digests([fingerprint])[0]
    record["content"] = contents
    record["style"] = styles
    for column, values in enumerate((gammas, temperatures)):
        # + 0.0 makes -0.0 and 0.0 one number; NaN is written in one of its many forms.
        given = np.nan if values is None else np.where(np.isnan(values), np.nan, values + 0.0)
        record["numbers"][:, column] = given
    record["k"] = ks
    return b"".join(_digests(record))


def text_digests(texts: Sequence[str]) -> np.ndarray:
    """Digests of texts, 16 bytes each: array [T] of type V16."""
    data = b"".join(hashlib.blake2b(t.encode(), digest_size=16).digest() for t in texts)
    return np.frombuffer(data, "V16")


def hex_ids(digests: bytes) -> list[str]:
    """Digests of 16 bytes one after the other, as ids of 32 hexadecimal digits."""
    text = digests.hex()
    return [text[i : i + ID_LENGTH] for i in range(0, len(text), ID_LENGTH)]


def hex_array(digests: bytes) -> pa.Array:
    """Digests of 16 bytes one after the other, as an Arrow string array [P] (P < 2**26)."""
    text = digests.hex().encode()
    offsets = np.arange(0, len(text) + 1, ID_LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))


def shard_name(pair_ids: Sequence[str]) -> str:
    """The name of the shard that holds these pairs, in whatever order: shard- and 16 digits."""
    text = "\n".join(sorted(pair_ids)).encode()
    return "shard-" + hashlib.blake2b(text, digest_size=8).hexdigest()


def _digests(record: np.ndarray) -> Iterable[bytes]:
    width, blake2b = record.dtype.itemsize, hashlib.blake2b
    data = record.tobytes()
    for start in range(0, len(data), width):
        yield blake2b(data[start : start + width], digest_size=16).digest()


def _dictionary(values: Sequence[str]) -> tuple[list[str], np.ndarray]:
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def _floats(values: Sequence[float | None] | None) -> np.ndarray | None:
    return None if values is None else np.array(values, np.float64)
