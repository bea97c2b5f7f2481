"""Random numbers from texts: the same in every run, on every machine."""

import hashlib
from collections.abc import Iterable

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15


def mix(z: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(texts: Iterable[str], seed: int) -> np.ndarray:
    """One number per text, uint64 [T], a function of the text and the seed alone."""
    key = hashlib.blake2b(str(seed).encode(), digest_size=16).digest()
    data = b"".join(
        hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts
    )
    return np.frombuffer(data, "<u8")


def noise(name: str, seed: int, *shape: int) -> np.ndarray:
    """Independent random numbers, uint64 of this shape: SplitMix64 from the hash of a name."""
    count = int(np.prod(shape))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return mix(hashes([name], seed) + steps).reshape(shape)


def uniform(numbers: np.ndarray) -> np.ndarray:
    """Random numbers, uint64, as float64 above 0 and below 1."""
    return ((numbers >> np.uint64(11)) + 0.5) * 2.0**-53
