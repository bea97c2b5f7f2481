"""Names that follow from content alone: of pairs, and of shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

ID_LENGTH = 32
"""Hexadecimal digits of a pair's id."""
NO_TEXT = np.zeros(1, "V16")[0]
"""The digest where there is no text."""
_CHUNK = 2**20


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
        ks: variant number of each pair.
        gammas, temperatures: each pair's own parameters; None stands for the job's.
        fingerprint: of everything else that decides the result (`JobConfig.fingerprint`).

    Returns:
        One id a pair, in order. The same fields give the same id; others another.
    """
    content_keys, content_index = _dictionary(contents)
    style_keys, style_index = _dictionary(styles)
    ids = hex_ids(
        pair_digests(
            text_digests(content_keys)[content_index],
            text_digests(style_keys)[style_index],
            np.asarray(ks, np.int64),
            _floats(gammas),
            _floats(temperatures),
            fingerprint,
        )
    )
    return ids.astype(str).tolist()


def pair_digests(
    contents: np.ndarray,
    styles: np.ndarray,
    ks: np.ndarray,
    gammas: np.ndarray | None,
    temperatures: np.ndarray | None,
    fingerprint: str,
    further: Sequence[np.ndarray] = (),
    weights: np.ndarray | None = None,
) -> bytes:
    """`pair_ids` for columns [P]: keys as their `text_digests`, NaN for the job's own value.

    Returns the P digests of 16 bytes one after the other. A pair's digest is taken of a record
    of fixed width, in which each text is replaced by its own digest: no two sets of fields
    share a record. Pairs with further styles ([P] each, `NO_TEXT` for none) and their weights have
    a second, wider record.
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
    pairs = b"".join(_digests(record))
    if not further:
        return pairs
    digests = np.frombuffer(pairs, "V16").copy()
    several = np.flatnonzero(further[0] != NO_TEXT)
    wide = np.zeros(len(several), [("pair", "V16"), ("styles", "V16", 8), ("weight", "<f8")])
    wide["pair"] = digests[several]
    for column, styles in enumerate(further):
        wide["styles"][:, column] = styles[several]
    wide["weight"] = np.nan if weights is None else weights[several]
    digests[several] = np.frombuffer(b"".join(_digests(wide)), "V16")
    return digests.tobytes()


def text_digests(texts: Sequence[str]) -> np.ndarray:
    """Digests of texts, 16 bytes each: array [T] of type V16."""
    digests = (hashlib.blake2b(t.encode(), digest_size=16).digest() for t in texts)
    return np.fromiter(digests, "V16", len(texts))


def hex_ids(digests: bytes) -> np.ndarray:
    """Digests of 16 bytes one after the other, as ids: array [P] of 32 ASCII digits each."""
    return np.frombuffer(digests.hex().encode(), f"S{ID_LENGTH}")


def id_column(ids: np.ndarray) -> pa.ChunkedArray:
    """Ids [P] of 32 ASCII digits each, as an Arrow column of strings."""
    chunks = [_strings(ids[i : i + _CHUNK]) for i in range(0, len(ids), _CHUNK)]
    return pa.chunked_array(chunks, pa.string())


def id_array(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of ids as an array [P] of 32 ASCII digits each, which numpy compares and sorts."""
    return np.array(column.cast(pa.binary()).to_numpy(zero_copy_only=False), f"S{ID_LENGTH}")


def ids_digest(ids: np.ndarray) -> str:
    """Hash of a set of ids in any order: 32 hexadecimal digits.

    The sum of the ids, which are hashes themselves, in each half modulo 2^64.
    """
    sums = np.zeros(2, "<u8")
    for i in range(0, len(ids), _CHUNK):
        halves = np.frombuffer(bytes.fromhex(ids[i : i + _CHUNK].tobytes().decode()), "<u8")
        sums += halves.reshape(-1, 2).sum(axis=0, dtype="<u8")
    return sums.tobytes().hex()


def shard_name(ids: np.ndarray) -> str:
    """The name of the shard that holds these pairs, in any order: shard- and 16 digits."""
    text = b"\n".join(sorted(ids.tolist()))
    return "shard-" + hashlib.blake2b(text, digest_size=8).hexdigest()


def _strings(ids: np.ndarray) -> pa.Array:
    offsets = np.arange(0, ID_LENGTH * len(ids) + 1, ID_LENGTH, dtype=np.int32)
    buffers = pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(ids))
    return pa.StringArray.from_buffers(len(ids), *buffers)


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
