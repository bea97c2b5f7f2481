"""The budgets of memory, and the order of evictions when it runs out."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine import host
from styleid_ray.engine.memory import GIB, Memory
from styleid_ray.errors import JobError

QUICK = StyleParams(steps=3)


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vae() -> Any:
    torch.manual_seed(0)
    return AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).eval().requires_grad_(False)


def make_memory(**options: Any) -> Memory:
    defaults = {"batch": "auto", "features": "auto", "limit": None}
    defaults |= {"host_share": 1.0, "device_share": 1.0}
    return Memory(torch.device("cpu"), **(defaults | options))


class Shortage:
    """A model's call that runs out of memory as long as `full` says so."""

    def __init__(self, forward: Any, full: Any) -> None:
        self.forward, self.full, self.rows, self.raised = forward, full, [], 0

    def __call__(self, z: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.full(self, len(z)):
            self.raised += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.rows.append(len(z))
        return self.forward(z, *args, **kwargs)


def test_features_on_the_host_leave_the_devices_room_as_it_is(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor
) -> None:
    gpu.free = 100
    pipe = make_pipe(features="host")
    pipe.transfer_latents(latents[:2], latents[3:], params=QUICK, keys=("ab", "stu"))
    assert pipe.memory.nbytes > 10_000
    pipe.memory.features = "auto"
    pipe.memory.choose_place(1000)
    assert pipe.memory.bank.place == "host"


def test_features_that_are_held_on_the_device_count_as_room_there(gpu: SimpleNamespace) -> None:
    held = make_memory(features="device")
    gpu.free, held.nbytes = 1000, 3000
    assert held.capacity == int(0.75 * 4000)


@pytest.mark.parametrize(
    ("need", "place", "why"),
    [
        (5, "device", "5.00 GiB of 7.50 GiB"),
        (9, "host", "9.00 GiB of 15.00 GiB"),
        (25, "host", "fit neither on the device nor on the host"),
    ],
)
def test_features_go_where_they_fit_and_the_reason_is_reported(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, need: int, place: str, why: str
) -> None:
    gpu.free = 10 * GIB
    monkeypatch.setattr(host, "free_memory", lambda: 20 * GIB)
    chosen = make_memory()
    chosen.choose_place(need * GIB)
    assert chosen.bank.place == place
    assert why in chosen.notes[-1]
    chosen.choose_place(need * GIB)
    assert len(chosen.notes) == 1


def test_actors_that_share_a_gpu_keep_to_their_part_of_its_memory(gpu: SimpleNamespace) -> None:
    gpu.free = 1000
    half = make_memory(features="device", device_share=0.5)
    assert gpu.shares == [0.5]
    assert half.capacity == int(0.75 * 500)


@pytest.mark.parametrize(("batch", "unet", "vae"), [(8, 8, 2), (3, 3, 1), ("auto", 16, 4)])
def test_the_autoencoder_gets_a_quarter_of_the_unets_batch(
    gpu: SimpleNamespace, batch: Any, unet: int, vae: int
) -> None:
    sized = make_memory(batch=batch)
    assert sized.batches.most((4, 64, 64)) == unet
    assert sized.batches.most((4, 64, 64), "vae") == vae


def test_a_batch_that_was_not_measured_goes_by_the_memory_that_is_free(
    gpu: SimpleNamespace, make_pipe: Any
) -> None:
    def most(shape: Any = (4, 64, 64), **options: Any) -> int:
        return make_pipe(**options).memory.batches.most(shape)

    assert most() == 16, "as many as a large GPU works well with"
    gpu.free = 2**20
    assert most() == 1
    gpu.free = 2**29
    sized = make_pipe().memory.batches
    rows = sized.most((4, 64, 64))
    assert 1 < rows < 16
    gpu.free = 2**20
    assert sized.most((4, 64, 64)) == rows, "batches of a size stay the same"
    assert most(batch_size=8) == 8
    gpu.free = 64 * GIB
    assert most((4, 128, 128), tile=64) == 16, "windows count, not the picture"


@pytest.mark.parametrize(
    ("model", "remedy"),
    [("unet", "a smaller --size, --tile"), ("vae", "in the autoencoder: use --vae-tile 512")],
)
def test_a_single_picture_that_does_not_fit_gets_a_remedy(model: Any, remedy: str) -> None:
    with pytest.raises(JobError, match=remedy):
        make_memory().give_way(1, (4, 128, 128), model)


def test_inversions_without_a_use_give_way_first_and_fewer_are_kept_from_then_on(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = make_pipe().transfer_latents(latents[1:2], latents[4:5], params=QUICK)
    pipe = make_pipe(batch_size=4)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK, keys=("a", "s"))
    held = pipe.memory.nbytes
    short = Shortage(pipe.unet.forward, lambda self, rows: len(pipe.memory.kept) > 2)
    monkeypatch.setattr(pipe.unet, "forward", short)
    got = pipe.transfer_latents(latents[1:2], latents[4:5], params=QUICK, keys=("b", "t"))
    assert error(got, want) <= 1e-5
    assert (pipe.memory.bank.place, pipe.counts.batch_halvings) == ("device", 0)
    assert {key for _, key, *_ in pipe.memory.kept} == {"b", "t"}
    assert pipe.memory.capacity < 2 * held
    assert any("keep at most" in note for note in pipe.notes)


def test_features_move_to_the_host_next_and_stay_there(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = make_pipe().transfer_latents(latents[:2], latents[3:5], params=QUICK)
    pipe = make_pipe(batch_size=4)
    on_device = lambda self, rows: pipe.memory.bank.place == "device" and pipe.memory.nbytes  # noqa: E731
    short = Shortage(pipe.unet.forward, on_device)
    monkeypatch.setattr(pipe.unet, "forward", short)
    for _ in range(2):
        got = pipe.transfer_latents(latents[:2], latents[3:5], params=QUICK)
        assert error(got, want) <= 1e-5
    assert short.raised == 1, "the second call begins on the host"
    assert (pipe.memory.bank.place, pipe.counts.batch_halvings) == ("host", 0)
    # The inversions of the first attempt, those that replaced them, and the second call's.
    assert pipe.counts.inversions == 12


def test_the_batch_is_halved_last(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = make_pipe().transfer_latents(latents[:3], latents[3:], params=QUICK)
    pipe = make_pipe(batch_size=8)
    short = Shortage(pipe.unet.forward, lambda self, rows: rows > 3)
    monkeypatch.setattr(pipe.unet, "forward", short)
    got = pipe.transfer_latents(latents[:3], latents[3:], params=QUICK)
    assert error(got, want) <= 1e-5
    assert pipe.counts.batch_halvings == 2
    assert max(short.rows) <= 3


def test_a_batch_of_contents_is_halved_by_their_size_whatever_the_size_of_the_styles(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = [torch.cat([z, z], 1) for z in latents[3:5]]
    pipe = make_pipe()

    def most(shape: Any, model: Any = "unet") -> int:
        # As on a GPU, where a batch of larger latents has fewer rows.
        return max(1, 2048 // (shape[-2] * shape[-1]) >> pipe.memory.batches.halvings[model])

    monkeypatch.setattr(pipe.memory.batches, "most", most)
    short = Shortage(pipe.unet.forward, lambda self, rows: rows > 2)
    monkeypatch.setattr(pipe.unet, "forward", short)
    made = pipe.transfer_latents(list(latents[:3]), styles, params=QUICK)
    assert len(made) == 6
    assert pipe.counts.batch_halvings == 2


def test_a_batch_that_is_filled_up_is_halved_though_only_one_picture_is_left(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = make_pipe().transfer_latents(latents[:1], latents[3:4], params=QUICK)
    pipe = make_pipe(batch_size=8)
    pipe.memory.batches.full = True
    short = Shortage(pipe.unet.forward, lambda self, rows: rows > 2)
    monkeypatch.setattr(pipe.unet, "forward", short)
    got = pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert error(got, want) <= 1e-5
    assert set(short.rows) == {2}


def test_inversions_whose_pairs_are_done_go_before_features_move_to_the_host(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe(batch_size=1)
    short = Shortage(pipe.unet.forward, lambda self, rows: len(pipe.memory.kept) > 2)
    monkeypatch.setattr(pipe.unet, "forward", short)
    pipe.transfer_latents(latents[:1], latents[3:], params=QUICK)
    assert short.raised
    assert (pipe.memory.bank.place, pipe.counts.inversions) == ("device", 4)


def test_a_shortage_on_the_device_leaves_inversions_on_the_host_alone(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe(features="host", batch_size=4)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK, keys=("a", "s"))
    short = Shortage(pipe.unet.forward, lambda self, rows: rows > 1)
    monkeypatch.setattr(pipe.unet, "forward", short)
    pipe.transfer_latents(latents[1:2], latents[4:5], params=QUICK, keys=("b", "t"))
    assert {key for _, key, *_ in pipe.memory.kept} == {"a", "s", "b", "t"}
    assert pipe.counts.batch_halvings == 2


def test_the_inversions_of_a_batch_are_free_to_go_while_it_is_decoded(
    make_pipe: Any, latents: Tensor
) -> None:
    pipe, alive = make_pipe(), []

    def take(rows: Any, z: Tensor) -> None:
        slots = [weakref.ref(x.slot.memory) for x in pipe.memory.kept.values()]
        pipe.memory.clear()
        alive.extend(slot() for slot in slots)

    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK, finished=take)
    assert alive == [None, None]


def test_a_picture_that_was_inverted_again_after_a_shortage_counts_once(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe(batch_size=2)
    short = Shortage(pipe.unet.forward, lambda self, rows: rows > 1)
    monkeypatch.setattr(pipe.unet, "forward", short)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert short.raised == 1
    assert pipe.counts.inversions == 2


def test_the_autoencoder_makes_room_where_one_picture_does_not_fit_beside_inversions(
    gpu: SimpleNamespace,
    make_pipe: Any,
    latents: Tensor,
    vae: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe: StyleIDPipeline = make_pipe(vae=vae)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK, keys=("a", "s"))
    short = Shortage(vae.decode, lambda self, rows: pipe.memory.nbytes > 0)
    monkeypatch.setattr(vae, "decode", short)
    pictures = pipe.decode(latents[:2])
    assert len(pictures) == 2
    assert not pipe.memory.kept


def test_pairs_whose_inversions_the_autoencoder_pushed_out_are_sampled_all_the_same(
    make_pipe: Any, latents: Tensor, vae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = make_pipe().transfer_latents(latents[:2], latents[3:], params=QUICK)
    pipe = make_pipe(vae=vae, batch_size=2)
    short = Shortage(vae.decode, lambda self, rows: pipe.memory.nbytes > 0 and self.raised < 2)
    monkeypatch.setattr(vae, "decode", short)
    made: dict[int, Tensor] = {}

    def take(rows: Any, z: Tensor) -> None:
        made.update(zip(rows, z, strict=True))
        pipe.autoencoder.decode(z, lambda *batch: None)

    pipe.transfer_latents(latents[:2], latents[3:], params=QUICK, finished=take)
    assert error(torch.stack([made[row] for row in range(6)]), want) <= 1e-5
    assert short.raised == 2


def test_one_copying_stream_serves_all_batches_and_late_copies_are_waited_for(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor
) -> None:
    want = make_pipe(features="device").transfer_latents(latents[:3], latents[3:], params=QUICK)
    pipe = make_pipe(features="host", batch_size=2, feature_memory=2e-3)
    gpu.copies.streams = 0
    for _ in range(2):
        got = pipe.transfer_latents(latents[:3], latents[3:], params=QUICK)
        assert error(got, want) <= 1e-5
    assert gpu.copies.streams == 0
    assert pipe.counts.inversions > 6, "slots were used again"


@pytest.mark.parametrize("steps", [3])
def test_a_latent_that_is_no_number_costs_no_evaluation_and_spoils_no_other(
    make_pipe: Any, latents: Tensor, steps: int
) -> None:
    pipe = make_pipe()
    broken = latents[:2].clone()
    broken[1, 0, 0, 0] = torch.inf
    got = pipe.transfer_latents(broken, latents[3:4], params=QUICK)
    want = make_pipe().transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert error(got[:1], want) <= 1e-5
    assert bool(got[1].isnan().all())
    assert pipe.unet_evaluations == 2 * steps + (steps - 1)


def test_the_fastest_batch_is_measured_once_and_told(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor
) -> None:
    pipe = make_pipe()
    for _ in range(2):
        pipe.transfer_latents(latents[:3], latents[3:], params=QUICK)
    # Each call takes a second whatever the batch is: nine pairs fit the second size.
    assert pipe.memory.batches.measured == {(16, 16): 16}
    assert sum(note.startswith("batch: 16 latents of 16 x 16") for note in pipe.notes) == 1
