"""Ids of pairs and names of shards, which follow from their content alone."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from styleid_ray.planning.columns import codes, style_columns
from styleid_ray.planning.mask_names import masked_keys
from styleid_ray.planning.pairing import Pairs

ID_LENGTH = 32
"""Hexadecimal digits of a pair's id."""
NO_TEXT = np.zeros(1, "V16")[0]
"""Stands for the digest of a missing text."""
_CHUNK = 2**20


def ids_of(pairs: Pairs, fingerprint: str) -> np.ndarray:
    """Ids [P] of pairs. The fingerprint covers everything else that decides a result
    (`JobConfig.fingerprint`)."""
    table = pairs.table
    contents, styles = text_digests(masked_keys(pairs)), text_digests(pairs.styles.keys)
    content, style = codes(table["content"]), codes(table["style"])
    _, *names = style_columns(table)
    more = [table[name].combine_chunks().indices.fill_null(-1).to_numpy() for name in names]
    weight = table["weight"].to_numpy() if more and "weight" in table.column_names else None
    k = table["k"].to_numpy()
    own = [
        None if table[name].null_count == table.num_rows else table[name].to_numpy()
        for name in ("gamma", "temperature")
    ]
    ids = np.empty(table.num_rows, f"S{ID_LENGTH}")
    for i in range(0, table.num_rows, _CHUNK):
        p = slice(i, i + _CHUNK)
        gamma, temperature, share = (None if x is None else x[p] for x in (*own, weight))
        further = [np.where(at[p] < 0, NO_TEXT, styles[at[p]]) for at in more]
        ids[p] = hex_ids(
            pair_digests(
                contents[content[p]],
                styles[style[p]],
                k[p],
                gamma,
                temperature,
                fingerprint,
                further,
                share,
            )
        )
    return ids


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
    """Digests of pairs, 16 bytes each, one after the other: the same fields give the same digest on
    every machine, different fields different digests.

    A digest is taken of a record of fixed width, in which each text is replaced by its own digest,
    so that no two sets of fields share a record. Pairs with further styles and their weights have a
    second, wider record.

    Args:
        contents, styles: `text_digests` of each pair's keys [P].
        ks: variant number of each pair.
        gammas, temperatures: each pair's own values, NaN or None for the job's.
        fingerprint: as in `ids_of`.
        further: digests of further styles, [P] each, `NO_TEXT` for none.
        weights: of the further styles, NaN or None for none.
    """
    text = [(name, "V16") for name in ("job", "content", "style")]
    record = np.zeros(len(contents), [*text, ("numbers", "<f8", 2), ("k", "<i8")])
    record["job"] = text_digests([fingerprint])[0]
    record["content"] = contents
    record["style"] = styles
    for column, values in enumerate((gammas, temperatures)):
        # + 0.0 makes -0.0 and 0.0 one number; NaN has many bit patterns; one is used.
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
    """Digests of 16 bytes each as ids: array [P] of 32 ASCII digits each."""
    return np.frombuffer(digests.hex().encode(), f"S{ID_LENGTH}")


def id_column(ids: np.ndarray) -> pa.ChunkedArray:
    """Ids [P] of 32 ASCII digits each, as an Arrow column of strings."""
    chunks = []
    for part in (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK)):
        buffers = [None, pa.py_buffer(np.ascontiguousarray(part))]
        chunks.append(pa.Array.from_buffers(pa.binary(ID_LENGTH), len(part), buffers))
    return pa.chunked_array(chunks, pa.binary(ID_LENGTH)).cast(pa.string())


def id_array(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of ids as an array [P] of 32 ASCII digits each, which numpy compares and sorts."""
    return np.array(column.cast(pa.binary()).to_numpy(zero_copy_only=False), f"S{ID_LENGTH}")


def ids_digest(ids: np.ndarray) -> str:
    """Hash of a set of ids in any order, 32 hexadecimal digits: the sum of the ids (hashes
    themselves) in each half modulo 2^64."""
    sums = np.zeros(2, "<u8")
    for i in range(0, len(ids), _CHUNK):
        halves = np.frombuffer(bytes.fromhex(ids[i : i + _CHUNK].tobytes().decode()), "<u8")
        sums += halves.reshape(-1, 2).sum(axis=0, dtype="<u8")
    return sums.tobytes().hex()


def shard_name(ids: np.ndarray) -> str:
    """The name of a shard by the ids of its pairs, in any order: shard- and 16 digits."""
    text = b"\n".join(sorted(ids.tolist()))
    return "shard-" + hashlib.blake2b(text, digest_size=8).hexdigest()


def _digests(record: np.ndarray) -> Iterable[bytes]:
    width, blake2b = record.dtype.itemsize, hashlib.blake2b
    data = record.tobytes()
    for start in range(0, len(data), width):
        yield blake2b(data[start : start + width], digest_size=16).digest()
