"""The batch at which a device is fastest, by measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BATCHES = (8, 16, 32, 64)
GAIN = 1.03
"""How much faster a larger batch must be per latent to be taken."""


@dataclass(frozen=True)
class Throughput:
    """A batch and the seconds that it takes per latent."""

    batch: int
    seconds: float


def best_batch(seconds: Callable[[int], float | None], most: int) -> Throughput | None:
    """The batch of 8 to 64 latents, and not above the next of these after `most`, with the most
    latents per second.

    Args:
        seconds: time of a call with so many latents; None where they do not fit the memory.
        most: latents that there are to do.

    Returns None when the smallest does not fit.
    """
    best = None
    for batch in BATCHES:
        if (took := seconds(batch)) is None:
            break
        if best and took / batch * GAIN > best.seconds:
            break
        best = Throughput(batch, took / batch)
        if batch >= most:
            break
    return best
