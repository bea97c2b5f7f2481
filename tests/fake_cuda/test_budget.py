"""Jobs on a GPU that is not there and is small: they stay within its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine.autoencoder import Autoencoder
from styleid_ray.errors import JobError
from styleid_ray.model.live import Live
from tests.fake_cuda.watch import Watch

pytestmark = pytest.mark.fake_cuda

MakePipe = Callable[..., StyleIDPipeline]
PARAMS = StyleParams(steps=2)
MIB = 2**20


def build_sdxl(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Parts of Stable Diffusion XL's layout, a tenth as wide, with the autoencoder in float32."""
    # Made in their precision at once: tensors that only pretend cannot be moved.
    pooled, time = 10, 4
    own = torch.get_default_dtype()
    with device:
        torch.set_default_dtype(dtype)
        unet = UNet2DConditionModel(
            sample_size=32,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(32, 64, 128),
            transformer_layers_per_block=(1, 2, 3),
            attention_head_dim=(1, 2, 4),
            norm_num_groups=16,
            cross_attention_dim=32,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=time,
            projection_class_embeddings_input_dim=pooled + 6 * time,
        )
        torch.set_default_dtype(own)
        vae = AutoencoderKL(
            block_out_channels=(16, 32, 64, 64),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            norm_num_groups=8,
            force_upcast=True,
        )
    for part in (unet, vae):
        part.requires_grad_(False).eval()
    return {
        "unet": unet,
        "vae": vae,
        "scheduler": DDIMScheduler(),
        "null_embedding": torch.zeros(1, 77, 32),
        "pooled_embedding": torch.zeros(1, pooled),
    }


class Card(Live):
    """A GPU of so many bytes: what goes beyond is out of memory."""

    def __init__(self, size: int) -> None:
        super().__init__("cuda")
        self.size, self.refused = size, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if self.now > self.size:
            self.refused += 1
            del out
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return out


@pytest.fixture
def card(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Card]:
    """Puts a GPU of a size into the machine."""

    def insert(size: int) -> Card:
        made = Card(size)
        for name, fake in {
            "mem_get_info": lambda device=None: (made.size - made.now, made.size),
            "memory_reserved": lambda device=None: made.now,
            "memory_allocated": lambda device=None: made.now,
        }.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        return made

    return insert


def blank_pictures(count: int) -> list[torch.Tensor]:
    return [torch.zeros(256, 256, 3, dtype=torch.uint8) for _ in range(count)]


def test_a_job_of_sdxl_keeps_to_the_memory_of_a_small_gpu_and_is_never_refused_any(
    make_pipe: MakePipe, card: Callable[[int], Card]
) -> None:
    with card(2**40) as gpu:
        pipe = make_pipe(build=build_sdxl, batch_size="auto")
        gpu.size = gpu.now + 48 * MIB
        contents, styles = pipe.encode(blank_pictures(2)), pipe.encode(blank_pictures(3))
        made = pipe.transfer_latents(contents, styles, "cross", PARAMS)
        pipe.autoencoder.decode(made, lambda *batch: None)
    assert 1 < pipe.memory.batches.most((4, 32, 32)) < 16
    assert gpu.refused == 0


def test_a_picture_that_the_autoencoder_has_no_room_for_goes_through_it_in_tiles(
    make_pipe: MakePipe, card: Callable[[int], Card]
) -> None:
    with card(2**40) as gpu:
        pipe = make_pipe(build=build_sdxl)
        gpu.size = gpu.now + 16 * MIB
        with pytest.raises(JobError, match="--vae-tile"):
            pipe.encode(blank_pictures(1))
        tiled = Autoencoder(pipe.vae, pipe.memory, tile=128)
        refused, decoded = gpu.refused, []
        tiled.decode(tiled.encode(blank_pictures(1)), lambda rows, x, finite: decoded.append(x))
    assert decoded[0].shape == (1, 256, 256, 3)
    assert gpu.refused == refused
