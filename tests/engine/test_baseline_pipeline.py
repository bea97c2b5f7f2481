"""The compared methods behind the interface that jobs use."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from styleid_ray.config import PIXEL_METHODS, Method
from styleid_ray.engine.autoencoder import decode, encode, from_pixels, quantised
from styleid_ray.engine.baseline_pipeline import Baseline
from styleid_ray.engine.baselines import adain
from styleid_ray.errors import ConfigError
from styleid_ray.model.loading import load_autoencoder


def picture(seed: int, height: int = 64, width: int = 64) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(40, 256, (height, width, 3), dtype=torch.uint8, generator=random)


def stylized(pipe: Any, contents: list[Tensor], styles: list[Tensor], pairs: Any) -> list[Tensor]:
    made: dict[int, Tensor] = {}

    def take(rows: Any, pixels: Tensor, finite: Tensor) -> None:
        assert finite.all()
        made.update(zip(rows, pixels, strict=True))

    pipe.stylize(contents, styles, pairs, [], take, structure=None, weights=None)
    return [made[row] for row in range(len(made))]


@pytest.fixture(scope="module")
def latent() -> Baseline:
    return Baseline("latent-adain", *load_autoencoder("demo", device="cpu"))


@pytest.mark.parametrize("method", PIXEL_METHODS)
def test_each_pair_of_a_colour_transfer_has_its_own_picture_at_its_contents_size(
    method: Method,
) -> None:
    pipe = Baseline(method)
    contents, styles = (
        [picture(1, 7, 9), picture(2)],
        [picture(3), picture(4, 5, 5), picture(1, 7, 9)],
    )
    made = stylized(pipe, contents, styles, [(1, (1,)), (0, (2,)), (0, (0,))])
    assert [tuple(x.shape) for x in made] == [(64, 64, 3), (7, 9, 3), (7, 9, 3)]
    assert torch.equal(made[1], contents[0])  # the style is the content itself
    assert not torch.equal(made[2], contents[0])
    assert (pipe.steps, pipe.counts.unet_evaluations, pipe.factor) == (3, 0, 1)


def test_latent_adain_decodes_the_contents_latent_with_the_styles_statistics(
    latent: Baseline,
) -> None:
    contents, styles = [picture(5), picture(6, 64, 128)], [picture(7, 128, 64)]
    made = stylized(latent, contents, styles, "cross")
    for content, result in zip(contents, made, strict=True):
        z_c, z_s = (
            encode(latent.autoencoder.vae, from_pixels(x[None]))[0] for x in (content, styles[0])
        )
        expected = quantised(decode(latent.autoencoder.vae, adain(z_c, z_s)[None]))[0]
        assert (expected.int() - result.int()).abs().max() <= 1
    assert latent.counts.unet_evaluations == 0
    assert latent.steps > 0


def test_latent_adain_of_even_pictures_gives_finite_values(latent: Baseline) -> None:
    even = torch.full((64, 64, 3), 90, dtype=torch.uint8)
    assert len(stylized(latent, [even, picture(8)], [even, picture(9)], "cross")) == 4


@pytest.mark.parametrize(
    ("pairs", "options"),
    [([(0, (0, 1))], {}), ([(0, (0,))], {"masks": [1]}), ([(0, (0,))], {"label_maps": [1]})],
)
def test_several_styles_or_a_mask_are_refused(pairs: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="one style for a whole picture"):
        Baseline("mkl").stylize(
            [picture(1)], [picture(2), picture(3)], pairs, [], lambda *_: None, **options
        )


def test_only_the_autoencoder_of_a_model_is_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    for name in ("unet/diffusion_pytorch_model", "text_encoder/model"):
        (folder / f"{name}.safetensors").write_bytes(b"no weights")
    vae, factor = load_autoencoder(str(folder), device="cpu")
    assert factor == 64
    assert vae.dtype == torch.float32
