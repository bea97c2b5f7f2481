"""Kinds of errors, and float32 without TF32."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from styleid_ray import StyleParams
from styleid_ray.engine import cuda
from styleid_ray.engine.cuda import is_out_of_memory


@pytest.mark.parametrize(
    ("message", "memory"),
    [
        ("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)", True),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("cuDNN SDPA execution failed: CUDA ran out of memory outside PyTorch's allocator", True),
        ("GET was unable to find an engine to execute this computation", True),
        ("Triton Error [CUDA]: out of memory", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_memory_that_libraries_beside_pytorch_ran_out_of_is_recognised(
    message: str, memory: bool
) -> None:
    assert is_out_of_memory(RuntimeError(message)) is memory


def test_float32_is_not_computed_in_tf32_and_the_callers_choice_is_back_afterwards(
    make_pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, inside = make_pipe(), []
    forward = pipe.unet.forward

    def looking(*args: Any, **kwargs: Any) -> Any:
        inside.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return forward(*args, **kwargs)

    monkeypatch.setattr(pipe.unet, "forward", looking)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    try:
        z = torch.randn(2, 4, 16, 16)
        pipe.transfer_latents(z[:1], z[1:], params=StyleParams(steps=2))
        assert set(inside) == {(False, "highest")}
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(("status", "registered"), [(0, 1), (2, 0)])
def test_host_memory_that_cannot_be_registered_is_ordinary_memory(
    monkeypatch: pytest.MonkeyPatch, status: int, registered: int
) -> None:
    calls: list[tuple[str, int]] = []
    runtime = SimpleNamespace(
        cudaHostRegister=lambda address, size, flags: calls.append(("on", address)) or status,
        cudaHostUnregister=lambda address: calls.append(("off", address)),
    )
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    memory = cuda.pinned(3, 100)
    assert memory.shape == (3, 100)
    address = memory.data_ptr()
    assert calls == [("on", address)]
    assert address % 4096 == 0, "a page of its own"
    del memory
    assert calls[1:] == [("off", address)] * registered
