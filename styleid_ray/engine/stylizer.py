"""The interface of a method to a job, for `StyleIDPipeline` and the methods it is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from styleid_ray.config import StyleParams
from styleid_ray.engine.autoencoder import Decoded
from styleid_ray.engine.pairs import Pairs
from styleid_ray.engine.structure import SeenStructure


@dataclass(frozen=True)
class Counts:
    """Work of a pipeline so far."""

    unet_evaluations: int = 0
    """UNet forwards, one per window and latent."""
    inversions: int = 0
    """Pictures inverted."""
    inversions_reused: int = 0
    """Pictures of a call whose inversion was kept from an earlier one."""
    peak_feature_bytes: int = 0
    """Most memory that kept inversions took at a time."""
    batch_halvings: int = 0
    """Times that the batch was halved because memory ran out."""


class Stylizer(Protocol):
    """A method on its device. All names mean the same as in `StyleIDPipeline`."""

    device: torch.device

    @property
    def steps(self) -> int: ...
    @property
    def unet_evaluations(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def factor(self) -> int: ...

    def stylize(
        self,
        contents: Sequence[Tensor],
        styles: Sequence[Tensor],
        pairs: Pairs,
        params: Sequence[StyleParams],
        take: Decoded,
        *,
        keys: tuple[Sequence[str], Sequence[str]] | None = None,
        masks: Sequence[Any] | None = None,
        label_maps: Sequence[Any] | None = None,
        classes: Sequence[tuple[int, ...]] | None = None,
        weights: Sequence[tuple[float, ...]] | None = None,
        structure: SeenStructure | None = None,
    ) -> None: ...
