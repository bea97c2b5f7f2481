"""The shares of a GPU's memory, used by the engine and predicted by planning."""

USABLE = 0.75
"""Share of the free memory that inversions may take; the rest is for computing."""
GPU_POSITIONS = 16 * 64 * 64
"""Latent positions of a batch on a GPU without measured throughput."""
VAE_SHARE = 4
"""Fewest UNet rows per picture in a batch of the autoencoder."""
SLACK = 1.25
"""Memory of a call over the memory that `model.peak` counts, which leaves out work space inside
operations (convolutions) and an allocator's fragments. On a CPU the work space is up to a quarter
for large pictures."""
RESERVED = 6 * 10**8
"""Bytes of a GPU that CUDA and its libraries take, about."""


def room_for_inversions(free: int, work: int) -> int:
    """Bytes of a GPU's free memory that inversions may take; `work`: bytes of the largest UNet
    call, which also reads and writes features."""
    return max(0, min(int(USABLE * free), free - 2 * work))


def rows_that_fit(free: int, row: int) -> int:
    """Most rows of a batch, each of `row` bytes, beside inversions with their share of the free
    memory; at least 1."""
    return max(1, int((1 - USABLE) * free / row))
