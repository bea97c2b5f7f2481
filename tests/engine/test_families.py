"""Every family of models against the plain procedure and against diffusers' own pipelines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from diffusers import (
    DDIMInverseScheduler,
    DDIMScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor

from benchmarks.naive import NaiveStyleID, enumerate_attention
from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.model.description import ModelDescription, describe
from styleid_ray.model.loading import load_components
from tests.families import FAMILIES
from tests.full_models import KL_XL, SD1, SD2, SDXL

STEPS = 3
ALONE = {"adain": False, "inject": False}
Preset = Literal["paper", "diffusers"]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a model by its family's name, written once."""
    root = tmp_path_factory.mktemp("families")
    return cache(lambda name: FAMILIES[name](root / name))


@pytest.fixture(scope="module")
def parts_of(folder_of: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """Parts of a model by its family's name, as `StyleIDPipeline` takes them."""
    return cache(lambda name: load_components(str(folder_of(name)), device="cpu"))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    return float((a - b).norm() / b.norm()) <= tolerance


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("family", "preset"),
    [(family, "paper") for family in FAMILIES]
    + [(family, "diffusers") for family in ("sd1", "sd2-v", "sdxl", "unconditional-2d")],
)
def test_the_engine_and_the_plain_procedure_agree_in_each_family_and_preset(
    parts_of: Callable[[str], dict[str, Any]], family: str, preset: Preset
) -> None:
    parts = parts_of(family)
    pipe = StyleIDPipeline(**parts)
    layers = tuple(sorted(pipe.model.sites))  # all of them, those of the coarser levels too
    naive = NaiveStyleID.of(parts, steps=STEPS, layers=layers, preset=preset)
    contents = [draw(4, 16, 16), draw(4, 24, 16, seed=1)]
    styles = [draw(4, 16, 16, seed=2), draw(4, 16, 24, seed=3)]
    params = StyleParams(preset=preset, steps=STEPS, layers=layers)
    got = pipe.transfer_latents(contents, styles, "zip", params)
    for c, s, z in zip(contents, styles, got, strict=True):
        assert close(z, naive.transfer(c[None], s[None])[0])
    assert pipe.unet_evaluations == naive.evaluations


def test_a_schedule_that_ends_in_pure_noise_gives_the_plain_procedures_result(
    parts_of: Callable[[str], dict[str, Any]],
) -> None:
    parts = dict(parts_of("sd2-v"))
    scheduler: Any = DDIMScheduler.from_config(
        parts["scheduler"].config, rescale_betas_zero_snr=True
    )
    assert float(scheduler.alphas_cumprod[-1]) == 0
    parts["scheduler"] = scheduler
    content, style = draw(1, 4, 16, 16), draw(1, 4, 16, 16, seed=1)
    got = StyleIDPipeline(**parts).transfer_latents(content, style, params=StyleParams(steps=STEPS))
    assert close(got, NaiveStyleID.of(parts, steps=STEPS).transfer(content, style))


@pytest.mark.parametrize(
    ("store", "dtype", "tolerance"),
    [("device", "float32", 1e-5), ("host", "float32", 1e-5), ("device", "int8", 2e-2)],
)
@pytest.mark.parametrize("family", ["sd2-v", "sdxl", "unconditional"])
def test_every_store_of_features_gives_the_plain_procedures_result(
    parts_of: Callable[[str], dict[str, Any]],
    family: str,
    store: Any,
    dtype: Any,
    tolerance: float,
) -> None:
    parts = parts_of(family)
    pipe = StyleIDPipeline(**parts, features=store, feature_dtype=dtype)
    params = StyleParams(steps=STEPS)
    layers = params.resolved(pipe.model.default_layers).layers
    content, style = draw(1, 4, 16, 24), draw(1, 4, 16, 16, seed=1)
    got = pipe.transfer_latents(content, style, params=params)
    naive = NaiveStyleID.of(parts, steps=STEPS, layers=layers)
    assert close(got, naive.transfer(content, style), tolerance)


def modules_of(unet: Any) -> dict[int, tuple[str, int, int]]:
    """Name, channels and heads of the decoder's self-attention layers as they are in a UNet."""
    names = {module: name for name, module in unet.named_modules()}
    return {
        n: (names[module], module.to_q.out_features, module.heads)
        for n, module in enumerate_attention(unet)
    }


def described(model: ModelDescription) -> dict[int, tuple[str, int, int]]:
    return {n: (site.name, site.channels, site.heads) for n, site in model.sites.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_description_of_a_model_is_what_its_modules_are_and_do(
    parts_of: Callable[[str], dict[str, Any]],
    family: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = parts_of(family)
    pipe = StyleIDPipeline(**parts)
    model, unet = pipe.model, parts["unet"]
    assert described(model) == modules_of(unet)
    tokens = {}
    for n, module in enumerate_attention(unet):
        keep = module.to_q.forward
        monkeypatch.setattr(
            module.to_q, "forward", lambda x, n=n, keep=keep: (tokens.update({n: x}), keep(x))[1]
        )
    z = draw(1, 4, 16, 24)
    unet(z, 1, **NaiveStyleID.of(parts).conditions(z))
    assert {n: site.tokens((16, 24)) for n, site in model.sites.items()} == {
        n: x.shape[1] for n, x in tokens.items()
    }
    assert model.vae_factor == 8
    assert model.native_size == 8 * unet.config.sample_size
    assert model.prediction_type == parts["scheduler"].config.prediction_type


FULL_SIZE: dict[str, dict[str, Any]] = {
    "SD 1.x": SD1,
    "SD 2.x": SD2,
    "SDXL": SDXL,
    "SDXL, as distilled models have it": SDXL
    | {
        "transformer_layers_per_block": [1, [1, 1], [4, 2]],
        "reverse_transformer_layers_per_block": [[4, 4, 3], [2, 1, 1], 1],
    },
}


@pytest.mark.parametrize(
    ("name", "layers", "chosen"),
    [
        ("SD 1.x", range(3, 12), None),
        ("SD 2.x", range(3, 12), None),
        ("SDXL", range(36), range(30, 36)),
        ("SDXL, as distilled models have it", range(15), range(11, 15)),
    ],
)
def test_a_full_size_model_is_described_as_diffusers_builds_it(
    name: str, layers: range, chosen: range | None
) -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(FULL_SIZE[name])
    model = describe(unet.config)
    assert described(model) == modules_of(unet)
    assert list(model.sites) == list(layers)
    assert model.default_layers == (None if chosen is None else tuple(chosen))


def test_sdxl_at_1024_px_has_the_tokens_of_the_papers_finest_layers_in_its_default_ones() -> None:
    model = describe(SDXL, KL_XL)
    assert (model.native_size, model.default_size, model.factor) == (1024, 1024, 32)
    assert (model.text_width, model.pooled_width) == (2048, 1280)
    assert {n: site.tokens((128, 128)) for n, site in model.sites.items()} == {
        **dict.fromkeys(range(30), 32 * 32),
        **dict.fromkeys(range(30, 36), 64 * 64),
    }


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[dict[str, Any]]]:
    """Keeps what a UNet is called with from now on."""

    def record(unet: Any) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = []
        forward = unet.forward

        def recording(z: Tensor, t: Any, **given: Any) -> Any:
            kept.append({"z": z, "t": t, **given})
            return forward(z, t, **given)

        monkeypatch.setattr(unet, "forward", recording)
        return kept

    return record


def sdxl_pipeline(folder: Path, scheduler: Any = DDIMScheduler) -> StableDiffusionXLPipeline:
    """diffusers' own pipeline of an SDXL model, whose JSON has the timesteps t = 1 + c·i of the
    presets."""
    pipe = StableDiffusionXLPipeline.from_pretrained(folder)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("family", ["sdxl", "sdxl-encoded"])
def test_sdxls_unet_is_called_with_what_diffusers_gives_it_for_the_empty_prompt(
    parts_of: Callable[[str], dict[str, Any]],
    folder_of: Callable[[str], Path],
    calls: Callable[[Any], list[dict[str, Any]]],
    family: str,
) -> None:
    theirs = sdxl_pipeline(folder_of(family))
    wanted = calls(theirs.unet)
    # Guidance asks the UNet twice; the first half is what it does without a prompt.
    theirs("a", height=64, width=128, num_inference_steps=2, guidance_scale=5, output_type="latent")
    pipe = StyleIDPipeline(**parts_of(family))
    got = calls(pipe.unet)
    pipe.invert_latents(draw(1, 4, 8, 16), StyleParams(steps=2))
    pipe.transfer_latents(draw(1, 4, 8, 16), draw(1, 4, 8, 16), params=StyleParams(steps=2))
    empty, added = wanted[0]["encoder_hidden_states"], wanted[0]["added_cond_kwargs"]
    assert bool((empty[0] == 0).all()) == (family == "sdxl")
    names = {"z", "t", "encoder_hidden_states", "added_cond_kwargs", "return_dict"}
    for call in got:
        assert call.keys() == names
        assert call["added_cond_kwargs"].keys() == added.keys()
        for row in range(len(call["z"])):
            assert torch.equal(call["encoder_hidden_states"][row], empty[0])
            for name, x in call["added_cond_kwargs"].items():
                assert torch.equal(x[row], added[name][0])
    assert added["time_ids"][0].tolist() == [64, 128, 0, 0, 64, 128]


@pytest.mark.parametrize("family", ["sd1", "sd2-v", "sdxl", "unconditional-2d"])
def test_the_diffusers_preset_inverts_and_samples_as_diffusers_own_schedulers_do(
    parts_of: Callable[[str], dict[str, Any]], family: str
) -> None:
    # With leading timesteps and an offset of 1, both ask the UNet at t = 1 + c·i; the inverse
    # scheduler too takes the latent to be one stride less noisy. The preset's result alone is
    # another: the z_0 that the last step predicts, in place of the latent it ends at.
    parts = parts_of(family)
    pipe = StyleIDPipeline(**parts)
    params = StyleParams(preset="diffusers", steps=5, **ALONE)
    z = draw(1, 4, 16, 16)
    given = NaiveStyleID.of(parts).conditions(z)
    config = {
        **parts["scheduler"].config,
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "clip_sample": False,
        "set_alpha_to_one": False,
    }

    def walk(scheduler: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        scheduler.set_timesteps(5)
        clean = x
        with torch.no_grad():
            for t in scheduler.timesteps:
                out = parts["unet"](x, t, **given, return_dict=False)[0]
                step = scheduler.step(out, t, x)
                x, clean = step.prev_sample, step.pred_original_sample
        return x, clean

    noise, _ = walk(DDIMInverseScheduler.from_config(config), z)
    assert close(pipe.invert_latents(z, params).z_T, noise)
    _, clean = walk(DDIMScheduler.from_config(config), noise)
    assert close(pipe.transfer_latents(z, z, params=params), clean)


class LessTheFirst(DDIMScheduler):
    """Without the first of its timesteps, which the paper's code leaves out."""

    def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
        super().set_timesteps(*args, **kwargs)
        self.timesteps = self.timesteps[1:]


def test_the_paper_presets_sampling_is_what_diffusers_own_sdxl_pipeline_does_with_that_noise(
    parts_of: Callable[[str], dict[str, Any]], folder_of: Callable[[str], Path]
) -> None:
    # Its inversion has no counterpart in diffusers: it asks the UNet at the timestep of the
    # latent's own noise level.
    theirs = sdxl_pipeline(folder_of("sdxl-encoded"), LessTheFirst)
    pipe = StyleIDPipeline(**parts_of("sdxl-encoded"))
    params = StyleParams(steps=5, **ALONE)
    z = draw(1, 4, 16, 16)
    noise = pipe.invert_latents(z, params).z_T
    sampled: Any = theirs(
        "", num_inference_steps=5, guidance_scale=1, latents=noise, output_type="latent"
    )
    assert close(pipe.transfer_latents(z, z, params=params), sampled.images)
