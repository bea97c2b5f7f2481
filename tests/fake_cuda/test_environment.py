"""What the other tests here rest on: which mistakes the GPU that is not there finds."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench import evaluate
from benchmarks.sd1 import build_parts
from tests.fake_cuda.conftest import CUDA
from tests.fake_cuda.watch import Watch

pytestmark = pytest.mark.fake_cuda


def test_an_evaluation_of_stable_diffusion_at_512_pixels_is_0_8_tflop() -> None:
    unet = build_parts(CUDA, torch.float16)["unet"]
    with FlopCounterMode(display=False) as counter:
        out = evaluate(unet, torch.zeros(2, 4, 64, 64, device=CUDA))
    assert (out.shape, out.device) == ((2, 4, 64, 64), CUDA)
    assert counter.get_total_flops() / 2e12 == pytest.approx(0.803, abs=0.001)


def test_tensors_of_two_devices_in_one_operation_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.mm(torch.zeros(2, 2, device=CUDA), torch.zeros(2, 2))


def test_reading_a_value_is_an_error_and_seen(watch: Watch) -> None:
    for read in (lambda x: x.sum().item(), lambda x: bool(x.isnan().any()), lambda x: x.tolist()):
        with watch, pytest.raises(DataDependentOutputException):
            read(torch.zeros(2, device=CUDA))
    assert watch.waits == ["_local_scalar_dense"] * 3


def test_each_way_to_wait_for_the_device_is_seen(watch: Watch) -> None:
    x, stream = torch.zeros(2, device=CUDA), torch.cuda.Stream(CUDA)
    ways = {
        "_to_copy to cpu": lambda: x.cpu(),
        "_to_copy to cuda": lambda: torch.tensor([1.0], device=CUDA),
        "copy_ to cuda": lambda: x.copy_(torch.zeros(2)),
        "index by indices of the host": lambda: x[torch.tensor([0])],
        "torch.cuda.synchronize": lambda: torch.cuda.synchronize(),
        "Stream.synchronize": lambda: stream.synchronize(),
        "Event.synchronize": lambda: stream.record_event().synchronize(),
    }
    with watch:
        for wait in ways.values():
            wait()
    assert watch.waits == list(ways)


def test_copies_that_do_not_block_are_no_waits(watch: Watch) -> None:
    x, host = torch.zeros(2, device=CUDA), torch.zeros(2)
    with watch:
        host.copy_(x, non_blocking=True)
        x.copy_(host, non_blocking=True)
        x.to("cpu", non_blocking=True)
    assert not watch.waits
    assert watch.moved == {"to cpu": 16, "to cuda": 8}


def test_a_race_of_two_streams_is_seen_and_an_event_ends_it(watch: Watch) -> None:
    side = torch.cuda.Stream(CUDA)
    with watch:
        x = torch.zeros(4, 2, device=CUDA)
        with torch.cuda.stream(side):
            x[0].fill_(1)
        assert watch.races == ["fill_ on stream 1 against computing"]
        side.wait_event(torch.cuda.current_stream().record_event())
        with torch.cuda.stream(side):
            x[1].fill_(1)
        torch.neg(x[2])  # other rows are other memory
        assert len(watch.races) == 1
        torch.neg(x[1])
        assert len(watch.races) == 2
        side.synchronize()
        torch.neg(x[1])
        assert len(watch.races) == 2


def test_memory_of_one_stream_on_another_must_be_made_known(watch: Watch) -> None:
    side = torch.cuda.Stream(CUDA)
    with watch:
        x = torch.zeros(2, device=CUDA)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            x.add_(1)
        assert watch.unrecorded == 1
        x.record_stream(side)
        assert watch.unrecorded == 0
