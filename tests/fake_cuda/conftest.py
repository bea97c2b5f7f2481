"""A GPU that is not there: tensors without values, on a device without a driver.

Inside PyTorch's `FakeTensorMode` operations compute shapes, precisions and devices alone. Mixing
devices is an error there as on a GPU; reading a value is one, too.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import _disable_current_modes

from benchmarks.sd1 import build_parts
from styleid_ray import StyleIDPipeline
from styleid_ray.engine import cuda, pipeline
from styleid_ray.model import peak
from tests.fake_cuda.watch import Watch

GIB = 2**30
CUDA = torch.device("cuda:0")


@pytest.fixture(scope="session", autouse=True)
def _wheel() -> None:
    if torch.version.cuda is None:
        pytest.fail("this PyTorch is built without CUDA: run make test-fake-cuda")


@pytest.fixture(autouse=True)
def _count_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is counted on parts of its own, which neither pretend nor are watched."""

    def apart(count: Callable[..., int]) -> Callable[..., int]:
        def counted(*args: Any) -> int:
            with _disable_current_modes():
                return count(*args)

        return counted

    for name in ("_unet_peak", "_vae_peak"):
        monkeypatch.setattr(peak, name, apart(getattr(peak, name)))


@pytest.fixture(autouse=True)
def _fake() -> Iterator[None]:
    with FakeTensorMode(), warnings.catch_warnings():
        # Registering host memory asks for its address.
        warnings.filterwarnings("ignore", "Accessing the data pointer")
        yield


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Streams in place of CUDA's, with 70 GiB of device memory free."""
    found = Watch()
    runtime = types.SimpleNamespace(
        cudaHostRegister=lambda address, size, flags: 0, cudaHostUnregister=lambda address: 0
    )
    for name, fake in {
        "Stream": found.new_stream,
        "Event": lambda **_: found.current.record_event(),
        "stream": found.stream,
        "current_stream": lambda device=None: found.current,
        "synchronize": found.synchronize,
        "mem_get_info": lambda device=None: (70 * GIB, 80 * GIB),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 2 * GIB,
        "reset_peak_memory_stats": lambda device=None: None,
        "set_per_process_memory_fraction": lambda share, device=None: None,
        "empty_cache": lambda: None,
        "cudart": lambda: runtime,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda x, s: found.record_stream(x, s))
    return found


@pytest.fixture
def make_pipe(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> Callable[..., StyleIDPipeline]:
    """A pipeline of Stable Diffusion 1.x's size, or of the parts that `build` makes; options as of
    the class. Its batch is measured at the first call only where it is `tuned`."""

    def finite_rows(x: Tensor) -> list[bool]:
        watch.host_waits("finite_rows", watch.current.clock)
        return [True] * len(x)

    schedule_of = pipeline.schedule_of

    def schedule_of_values(*args: Any) -> Any:
        with unset_fake_temporarily():
            return schedule_of(*args)

    # What reads values: these have none.
    monkeypatch.setattr(cuda, "finite_rows", finite_rows)
    monkeypatch.setattr(pipeline, "schedule_of", schedule_of_values)

    def make(
        dtype: torch.dtype = torch.float16,
        tuned: bool = False,
        build: Callable[[torch.device, torch.dtype], dict[str, Any]] = build_parts,
        **options: Any,
    ) -> StyleIDPipeline:
        parts = build(CUDA, dtype)
        with unset_fake_temporarily():
            parts["scheduler"] = type(parts["scheduler"]).from_config(parts["scheduler"].config)
        pipe = StyleIDPipeline(**parts, **{"batch_size": 4, "compile": False, **options})
        if not tuned:
            monkeypatch.setattr(pipe.tuner, "tune", lambda *_: None)
        return pipe

    return make


def latents(*shapes: tuple[int, int]) -> list[Tensor]:
    """Clean latents of heights and widths."""
    return [torch.zeros(4, *shape, device=CUDA) for shape in shapes]
