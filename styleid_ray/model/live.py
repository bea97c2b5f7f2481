"""Storages that live during some work."""

import weakref
from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Inside the block, counts the bytes of storages that operations make, until they are freed.

    Weights and inputs made outside do not count.

    Args:
        device: kind of device whose storages count, such as "cuda"; None for all.
    """

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.device = device
        self.now = 0
        """Live bytes."""
        self.peak = 0
        """Most live bytes at a time."""
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in _tensors((args, kwargs))}
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if self.device not in (None, tensor.device.type):
                continue
            if storage._cdata not in given and storage._cdata not in self._known:
                self._count(storage)
        return out

    def _count(self, storage: Any) -> None:
        name, size = storage._cdata, storage.nbytes()
        self._known.add(name)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, name, size)

    def _freed(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


class NoMatrix(TorchFunctionMode):
    """Inside the block attention takes the memory of its output alone, as in a fused kernel."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        q, v = args[0], args[2]
        return q.new_empty(*q.shape[:-1], v.shape[-1])


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]
