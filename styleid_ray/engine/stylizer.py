"""The interface of a method to a job: of `StyleIDPipeline`, and of the methods that it is compared
with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from styleid_ray.config import StyleParams
from styleid_ray.engine.autoencoder import Decoded
from styleid_ray.engine.counts import Counts
from styleid_ray.engine.pairs import Pairs
from styleid_ray.engine.structure import SeenStructure


class Stylizer(Protocol):
    """A method on its device. Meanings are those of `StyleIDPipeline`."""

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
