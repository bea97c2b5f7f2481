"""What a call queues on the streams of a GPU that is not there.

`Watch` stands below PyTorch's operations and in place of `torch.cuda`'s streams. It finds

- each time the host waits for the device,
- accesses to the same memory from two streams, or a stream and the host, that no event orders,
- memory that a second stream uses while the allocator has not been told of it.

Order is kept as vector clocks: a stream knows how far each other stream was at least when what it
does now begins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS_VALUES = (
    "_local_scalar_dense",
    "is_nonzero",
    "nonzero",
    "equal",
    "masked_select",
    "_unique2",
)
"""Operations whose result depends on values, so that the host waits for them."""
_HOST = "host"


class Stream:
    """In place of `torch.cuda.Stream`."""

    def __init__(self, watch: Watch, name: str) -> None:
        self.watch, self.name = watch, name
        self.clock: Counter[str] = Counter()

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event(self.watch)
        event.clock = self.clock.copy()
        return event

    def wait_event(self, event: Event) -> None:
        self.clock |= event.clock

    def wait_stream(self, stream: Stream) -> None:
        self.clock |= stream.clock

    def synchronize(self) -> None:
        self.watch.host_waits("Stream.synchronize", self.clock)


class Event:
    """In place of `torch.cuda.Event`."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.clock: Counter[str] = Counter()

    def synchronize(self) -> None:
        self.watch.host_waits("Event.synchronize", self.clock)


class Watch(TorchDispatchMode):
    """Everything that is done inside the block `with watch:`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        """Times that the host waited for the device: an operation's name each."""
        self.races: list[str] = []
        self.moved: Counter[str] = Counter()
        """Bytes copied between devices, "to cpu" and "to cuda"."""
        self.current = Stream(self, "computing")
        self._host = Stream(self, _HOST)
        self._streams = 0
        self._accesses: defaultdict[int, dict[tuple[int, int, str, bool], int]] = defaultdict(dict)
        self._owner: dict[int, str] = {}
        self._recorded: set[tuple[int, str]] = set()
        self._foreign: set[tuple[int, str]] = set()
        # Kept alive, so that no other memory gets the same name.
        self._storages: dict[int, Any] = {}

    @property
    def unrecorded(self) -> int:
        """Pieces of device memory that a stream used which neither owns them nor was named in
        `Tensor.record_stream`: the allocator may hand them out too early."""
        return len(self._foreign - self._recorded)

    # In place of torch.cuda

    def new_stream(self, device: Any = None, **_: Any) -> Stream:
        self._streams += 1
        return Stream(self, f"stream {self._streams}")

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        own, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = own

    def record_stream(self, tensor: Tensor, stream: Stream) -> None:
        self._recorded.add((self._memory(tensor), stream.name))

    def synchronize(self, device: Any = None) -> None:
        self.host_waits("torch.cuda.synchronize", self.current.clock)

    def host_waits(self, what: str, clock: Counter[str]) -> None:
        self.waits.append(what)
        self._host.clock |= clock

    # Operations

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name in _READS_VALUES and _on_gpu((args, kwargs)):
            self.host_waits(name, self.current.clock)
        out = func(*args, **kwargs)
        if func.namespace == "prim" or _is_view(func):
            return out
        stream = self.current if _on_gpu((args, kwargs, out)) else self._host
        stream.clock |= self._host.clock
        stream.clock[stream.name] += 1
        written = _written(func, args, kwargs)
        for tensor in _tensors((args, kwargs)):
            self._access(tensor, stream, id(tensor) in written, name)
        for tensor in _tensors(out):
            if id(tensor) not in written:
                self._access(tensor, stream, True, name)
        self._note_waits(name, args, kwargs, out)
        return out

    def _note_waits(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        if name in ("_to_copy", "copy_"):
            source, target = (args[0], out) if name == "_to_copy" else (args[1], args[0])
            if source.device.type == target.device.type:
                return
            self.moved[f"to {target.device.type}"] += target.numel() * target.dtype.itemsize
            asynchronous = kwargs.get("non_blocking") or (
                name == "copy_" and len(args) > 2 and args[2]
            )
            if not asynchronous:
                self.host_waits(f"{name} to {target.device.type}", self.current.clock)
        elif name.startswith("index") and _on_gpu(args[:1]):
            indices = [x for x in _tensors(args[1:]) if x.device.type == "cpu" and x.dim()]
            if indices:
                self.host_waits(f"{name} by indices of the host", self.current.clock)

    def _access(self, tensor: Tensor, stream: Stream, write: bool, name: str) -> None:
        memory = self._memory(tensor)
        if tensor.device.type == "cuda":
            owner = self._owner.setdefault(memory, stream.name)
            if owner != stream.name:
                self._foreign.add((memory, stream.name))
        low = tensor.storage_offset() * tensor.dtype.itemsize
        span = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        high = low + (span + 1) * tensor.dtype.itemsize if tensor.numel() else low
        accesses = self._accesses[memory]
        for (begin, end, other, wrote), at in accesses.items():
            ordered = other == stream.name or stream.clock[other] >= at
            if begin < high and low < end and (write or wrote) and not ordered:
                self.races.append(f"{name} on {stream.name} against {other}")
        accesses[low, high, stream.name, write] = stream.clock[stream.name]

    def _memory(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._storages.setdefault(storage._cdata, storage)
        return storage._cdata


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def _on_gpu(tree: Any) -> bool:
    return any(tensor.device.type == "cuda" for tensor in _tensors(tree))


def _is_view(func: Any) -> bool:
    return any(x.alias_info and not x.alias_info.is_write for x in func._schema.returns)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> set[int]:
    """Identities of the arguments that an operation changes."""
    changed = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info and argument.alias_info.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            changed += _tensors(value)
    return {id(tensor) for tensor in changed}
