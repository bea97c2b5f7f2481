"""Every call of CUDA itself: memory, pinned memory, the copying stream, kinds of errors. Elsewhere
a GPU is a device like any other."""

import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import prod
from typing import Any

import torch
from torch import Tensor

_HOST_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")
_OUT_OF_MEMORY = (
    *_HOST_OUT_OF_MEMORY,
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "ran out of memory outside",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
)
"""Messages of memory shortages outside PyTorch's own allocator."""
_PAGE = 4096


def is_cuda(device: torch.device) -> bool:
    """Whether a device is a GPU."""
    return device.type == "cuda"


def free_memory(device: torch.device, share: float) -> int:
    """GPU memory, in bytes, that this process can still allocate: free memory and its allocator's
    cache, up to its share of the whole, in (0, 1]."""
    free, total = torch.cuda.mem_get_info(device)
    allocated = torch.cuda.memory_allocated(device)
    cached = torch.cuda.memory_reserved(device) - allocated
    return max(0, min(free + cached, int(share * total) - allocated))


def limit_memory(device: torch.device, share: float) -> None:
    """Keep this process to its share, in (0, 1], of a GPU's memory."""
    if is_cuda(device) and share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)


def empty_cache(device: torch.device) -> None:
    """Release the memory that PyTorch's allocator caches, to make room for other sizes."""
    if is_cuda(device):
        torch.cuda.empty_cache()


def pinned(*shape: int) -> Tensor:
    """Host memory, uint8, that a GPU copies from and to by itself.

    Ordinary memory is registered with CUDA, whose own pinned allocator rounds up to a power of two.
    If registering fails the memory stays ordinary: copies are slower but right.
    """
    # Whole pages, not shared with other memory: a page cannot be registered twice.
    size = -(-prod(shape) // _PAGE) * _PAGE
    pages = torch.empty(size + _PAGE, dtype=torch.uint8)
    start = -pages.data_ptr() % _PAGE
    memory = pages[start : start + prod(shape)].view(shape)
    runtime: Any = torch.cuda.cudart()
    address = memory.data_ptr()
    if int(runtime.cudaHostRegister(address, size, 0)) == 0:
        weakref.finalize(memory, runtime.cudaHostUnregister, address)
    else:
        # CUDA remembers the error and reports it at the next kernel, which is this one.
        with suppress(RuntimeError, AssertionError):
            torch.zeros(1, device="cuda")
    return memory


class CopyStream:
    """A stream beside the computing one, for copies between host and device in both directions.

    Copies run in the order in which they are queued.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def copy(self, copies: Iterable[tuple[Tensor, Tensor]]) -> torch.Event:
        """Queue copies (to, from) after the work queued so far on the computing stream. Returns the
        event of their end."""
        self.stream.wait_event(torch.cuda.current_stream(self.device).record_event())
        with torch.cuda.stream(self.stream):
            for destination, source in copies:
                destination.copy_(source, non_blocking=True)
                for tensor in (destination, source):
                    if is_cuda(tensor.device):
                        tensor.record_stream(self.stream)
        return self.stream.record_event()  # pyright: ignore[reportReturnType]

    def wait(self, event: torch.Event) -> None:
        """Let work queued on the computing stream from here on begin after the event."""
        torch.cuda.current_stream(self.device).wait_event(event)  # pyright: ignore[reportArgumentType]

    def synchronize(self) -> None:
        """Wait on the host until all copies are done."""
        self.stream.synchronize()


@contextmanager
def inference() -> Iterator[None]:
    """Within the block, or in a function decorated with it: no gradients, and products and
    convolutions of float32 numbers in float32, not in TF32."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def measure(device: torch.device, work: Callable[[], object]) -> tuple[float, int]:
    """Seconds of `work` on a GPU, from idle to idle, and the most memory that it takes."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before, began = torch.cuda.memory_allocated(device), time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    return seconds, torch.cuda.max_memory_allocated(device) - before


def finite_rows(x: Tensor) -> list[bool]:
    """Whether all numbers of a row are finite, per row. The host waits for the device."""
    return x.isfinite().flatten(1).all(1).tolist()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device or the host is out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(m in str(error) for m in _OUT_OF_MEMORY)


def is_out_of_host_memory(error: BaseException) -> bool:
    """Whether an exception says that the host is out of memory."""
    return isinstance(error, MemoryError) or any(m in str(error) for m in _HOST_OUT_OF_MEMORY)


def is_device_failure(error: BaseException) -> bool:
    """Whether an exception says that this process can no longer use the device: CUDA's error state
    lasts until the process ends."""
    kind = getattr(torch, "AcceleratorError", None)  # torch 2.8 and later
    failed = kind is not None and isinstance(error, kind)
    failed = failed or (isinstance(error, RuntimeError) and "CUDA error" in str(error))
    return failed and not is_out_of_memory(error)
