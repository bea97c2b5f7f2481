"""How many latents go through the model at once, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from styleid_ray.errors import JobError

_AUTO_POSITIONS = 16 * 64 * 64
"""Latent positions of an automatic batch on a GPU: 16 pictures of 512 px, 64 of 256 px."""
_AUTO_CPU = 8
_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What PyTorch says where memory was not taken by its own allocator."""


class MicroBatch:
    """A bound on the latents of one call, halved for good each time that memory runs out.

    Args:
        size: the bound, or "auto": by the latents' size on a GPU (memory decides from there), 8 on
            a CPU, which larger batches do not make faster.
        device: where the work is done.
        weight: memory that a latent takes, where a UNet evaluation takes 1.
    """

    def __init__(self, size: int | Literal["auto"], device: torch.device, weight: int = 1) -> None:
        self.size = size
        self.device = device
        self.weight = weight
        self.halvings = 0

    def most(self, shape: Sequence[int]) -> int:
        """Most latents of shape [C, h, w] in one call."""
        if isinstance(self.size, int):
            rows = self.size
        elif self.device.type == "cpu":
            rows = _AUTO_CPU
        else:
            rows = _AUTO_POSITIONS // (shape[-2] * shape[-1] * self.weight)
        return max(1, rows >> self.halvings)

    def run(
        self,
        rows: Sequence[int],
        shape: Sequence[int],
        work: Callable[[list[int]], None],
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        """`work` on all rows, latents of one shape, in even batches.

        A batch that runs out of memory is done again at half its size: no row is dropped or done
        twice. When a single one does not fit, `make_room` may free memory (and say so).

        Raises:
            JobError: a single latent does not fit.
        """
        todo = list(rows)
        while todo:
            batches = -(-len(todo) // self.most(shape))
            part = todo[: -(-len(todo) // batches)]
            if self._fits(work, part):
                todo = todo[len(part) :]
                continue
            free_cached_memory(self.device)
            if len(part) > 1:
                while self.most(shape) >= len(part):
                    self.halvings += 1
            elif not make_room():
                raise JobError(
                    f"a single picture of {shape[-1]} x {shape[-2]} latents does not fit the "
                    f"memory of {self.device}: use a smaller --size, or --dtype float16"
                )

    @staticmethod
    def _fits(work: Callable[[list[int]], None], part: list[int]) -> bool:
        # The exception, and with it the tensors that its traceback holds, is gone on return.
        try:
            work(part)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as e:
            if not is_out_of_memory(e):
                raise
            return False
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device or the host is out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(m in str(error) for m in _MESSAGES)


def is_device_failure(error: BaseException) -> bool:
    """Whether an exception says that the device is of no more use to this process: CUDA keeps its
    state of error until the process ends."""
    kind = getattr(torch, "AcceleratorError", None)  # torch 2.8 and later
    raised = kind is not None and isinstance(error, kind)
    raised = raised or (isinstance(error, RuntimeError) and "CUDA error" in str(error))
    return raised and not is_out_of_memory(error)


def free_cached_memory(device: torch.device) -> None:
    """Give back what PyTorch's allocator keeps, so that other sizes can be allocated."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
