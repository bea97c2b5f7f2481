"""What a pipeline has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Work of a pipeline so far."""

    unet_evaluations: int
    """UNet forwards, one per window and latent."""
    inversions: int
    """Pictures inverted."""
    inversions_reused: int
    """Pictures of a call whose inversion was kept from an earlier one."""
    peak_feature_bytes: int
    """Most memory that kept inversions took at a time."""
    batch_halvings: int
    """How often the batch was halved because memory ran out."""
