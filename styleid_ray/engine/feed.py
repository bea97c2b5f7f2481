"""The features of a batch's pictures, step by step, with the next step's already on their way."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from styleid_ray.engine.features import Inversion, Packed, StepFeatures, StoredFeatures, Trajectory

Recall = Callable[[Sequence[Tensor], int], list[StepFeatures]]
"""(latents, each [C, h, w], timestep) → what the UNet computes of them there."""


class Feed:
    """Hands out the features of several inversions at one timestep after the other.

    What lies in host memory is copied on a CUDA stream of its own, one step ahead, while the UNet
    works on the step before. What was not kept is computed by `recall`.

    Args:
        inversions: by any key.
        timesteps: in the order in which they will be asked for.
        recall: computes features from latents.
        device, dtype: where and in what precision the features are wanted.
    """

    def __init__(
        self,
        inversions: Mapping[Hashable, Inversion],
        timesteps: Sequence[int],
        recall: Recall,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        kept = {key: inversion.kept for key, inversion in inversions.items()}
        self.stored = {key: x for key, x in kept.items() if isinstance(x, StoredFeatures)}
        self.trajectories = {key: x for key, x in kept.items() if isinstance(x, Trajectory)}
        self.recall, self.device, self.dtype = recall, device, dtype
        self.following = dict(pairwise(timesteps))
        streams = device.type == "cuda" and any(
            x.device.type == "cpu" for x in self.stored.values()
        )
        self.side = torch.cuda.Stream(device) if streams else None
        self.ahead: tuple[int, dict[Hashable, Packed]] | None = None

    def at(self, t: int) -> dict[Hashable, StepFeatures]:
        """The features of every inversion at timestep t."""
        packed = self._arrived(t)
        if self.side and t in self.following:
            self._send(self.following[t], self.side)
        found = {key: x.unpack(self.dtype) for key, x in packed.items()}
        if self.trajectories:
            latents = [x.latents[t] for x in self.trajectories.values()]
            found.update(zip(self.trajectories, self.recall(latents, t), strict=True))
        return found

    def _arrived(self, t: int) -> dict[Hashable, Packed]:
        if self.side and self.ahead and self.ahead[0] == t:
            here = torch.cuda.current_stream(self.device)
            here.wait_stream(self.side)
            for packed in self.ahead[1].values():
                # Their memory belongs to the side stream: not to be reused while this one reads.
                packed.values.record_stream(here)
                if packed.scales is not None:
                    packed.scales.record_stream(here)
            return self.ahead[1]
        return {key: x.steps[t].to(self.device) for key, x in self.stored.items()}

    def _send(self, t: int, side: torch.cuda.Stream) -> None:
        # After what is queued so far: the inversion's own copies to the host among it.
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            self.ahead = t, {key: x.steps[t].to(self.device) for key, x in self.stored.items()}
