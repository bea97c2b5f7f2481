from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel, VQModel
from PIL import Image

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.config import PAPER_MODEL
from styleid_ray.errors import ConfigError, ModelError
from styleid_ray.model.checkpoint import find_checkpoint
from styleid_ray.model.loading import load_autoencoder, load_components
from styleid_ray.model.vae import find_vae
from tests.families import save_kl, save_sdxl, save_unconditional


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_local_folder_makes_pictures_with_its_text_encoder_used_once(tiny_model: Path) -> None:
    pipe = StyleIDPipeline.from_pretrained(str(tiny_model))
    assert pipe.unet.dtype == torch.float32
    content = Image.new("RGB", (128, 64), "red")
    style = Image.new("RGB", (64, 64), "blue")
    images = pipe([content], [style, style], params=StyleParams(steps=2))
    assert [image.size for image in images] == [(128, 64)] * 2


def test_loading_draws_no_progress_bars(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_components(str(tiny_model), device="cpu")
    assert capsys.readouterr() == ("", "")


def test_the_precision_asked_for_is_used(tiny_model: Path) -> None:
    pipe = StyleIDPipeline.from_pretrained(str(tiny_model), dtype="bfloat16", device="cpu")
    assert pipe.unet.dtype == pipe.vae.dtype == torch.bfloat16
    latents = pipe.transfer_latents(
        torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), params=StyleParams(steps=2)
    )
    assert latents.dtype == torch.float32


def test_a_size_that_does_not_fit_the_model_is_refused(tiny_model: Path) -> None:
    pipe = StyleIDPipeline.from_pretrained(str(tiny_model))
    with pytest.raises(ConfigError, match="multiples of 64"):
        pipe.encode([Image.new("RGB", (100, 64))])


def test_cuda_without_a_gpu_is_a_clear_error(tiny_model: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError, match="use --device cpu"):
        StyleIDPipeline.from_pretrained(str(tiny_model), device="cuda")


def test_a_hub_out_of_reach_names_the_two_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"forbids a download\); name a local.*--model demo"):
        find_checkpoint(PAPER_MODEL)


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(ModelError, match=r"folder \./nowhere does not exist"):
        find_checkpoint("./nowhere")


def test_the_url_of_a_model_is_left_to_jobs() -> None:
    with pytest.raises(ModelError, match=r"only jobs .* from s3://; in Python, name a local"):
        StyleIDPipeline.from_pretrained("s3://bucket/models/sd15")


def remove(part: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / part)


def set_config(part: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / part / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change


def pickled(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def without_weights(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def single_file(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "v1-5.safetensors").touch()


def truncated(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def one_of_two(folder: Path) -> None:
    weights = folder / "text_encoder" / "model.safetensors"
    weights.rename(weights.with_name("model-00001-of-00002.safetensors"))


def other_shapes(folder: Path) -> None:
    set_config("unet", cross_attention_dim=16)(folder)
    set_config("text_encoder", hidden_size=16)(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("vae"), "part vae/ is missing"),
        (remove("text_encoder"), "part text_encoder/ is missing"),
        (remove("tokenizer"), "part tokenizer/ is missing"),
        (remove("unet"), "not a model in diffusers format"),
        (remove("scheduler"), "part scheduler/ is missing"),
        (single_file, r"to load the single file v1-5\.safetensors, name it itself"),
        (pickled, "convert it to safetensors"),
        (without_weights, r"unet has no safetensors weights \(unet/.*\): download them too"),
        (truncated, r"unet: diffusion_pytorch_model\.safetensors is cut off, damaged"),
        (one_of_two, "text_encoder has 1 of the 2 files of its weights"),
        (other_shapes, "cannot be loaded"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line_that_says_why(
    copied: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copied)
    with pytest.raises(ModelError, match=message) as error:
        StyleIDPipeline.from_pretrained(str(copied))
    assert "\n" not in str(error.value)


def test_a_revision_of_a_local_folder_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="--revision"):
        find_checkpoint(str(tiny_model), "main")


def test_the_fingerprint_follows_the_weights_and_not_the_place(
    tiny_model: Path, copied: Path
) -> None:
    same = find_checkpoint(str(tiny_model)).fingerprint
    assert find_checkpoint(str(copied)).fingerprint == same
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert find_checkpoint(str(copied)).fingerprint != same


def test_the_own_autoencoder_of_a_model_is_not_fetched_where_another_takes_its_place(
    tiny_model: Path, tmp_path: Path
) -> None:
    own = find_checkpoint(str(tiny_model))
    other = replace(own, vae=find_vae(str(save_kl(tmp_path / "kl")), own))
    assert set(own.needed) - set(other.needed) == {"vae/diffusion_pytorch_model.safetensors"}
    assert "vae/config.json" in other.needed


def test_weights_that_exist_in_half_precision_only_are_found(copied: Path) -> None:
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert StyleIDPipeline.from_pretrained(str(copied)).unet.dtype == torch.float32


@pytest.mark.parametrize(
    ("dtype", "upcast", "expected"),
    [
        ("float16", True, torch.float32),
        ("float16", False, torch.float16),
        ("bfloat16", True, torch.bfloat16),
    ],
)
def test_the_autoencoder_of_sdxl_is_in_float32_where_its_configuration_asks_for_it(
    tmp_path: Path, dtype: str, upcast: bool, expected: torch.dtype
) -> None:
    folder = save_sdxl(tmp_path / "xl")
    file = folder / "vae" / "config.json"
    config = json.loads(file.read_text())
    # diffusers' own default is true: a file that does not say so asks for nothing.
    config |= {"force_upcast": True} if upcast else {}
    config = {name: x for name, x in config.items() if upcast or name != "force_upcast"}
    file.write_text(json.dumps(config))
    parts = load_components(str(folder), dtype=dtype, device="cpu")
    assert parts["vae"].dtype == expected
    assert parts["unet"].dtype == getattr(torch, dtype)
    assert load_autoencoder(str(folder), dtype=dtype, device="cpu")[0].dtype == expected


def test_an_autoencoder_that_is_safe_in_float16_takes_the_place_of_one_that_is_not(
    tmp_path: Path,
) -> None:
    folder = save_sdxl(tmp_path / "xl")
    safe = save_kl(tmp_path / "fix", scaling_factor=0.13025, force_upcast=False)
    parts = load_components(str(folder), dtype="float16", device="cpu", vae=str(safe))
    assert parts["vae"].dtype == torch.float16


def test_the_autoencoder_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = save_sdxl(tmp_path / "xl")
    other = save_kl(tmp_path / "mse", scaling_factor=0.18215)
    with pytest.raises(ModelError, match=r"scaling factor 0\.18215; .*xl needs 0\.13025"):
        load_components(str(folder), vae=str(other))


def test_an_autoencoder_of_codes_is_read_from_its_folder_vqvae(tmp_path: Path) -> None:
    folder = save_unconditional(tmp_path / "plain", "UNet2DModel")
    shutil.rmtree(folder / "vae")
    VQModel(latent_channels=4, vq_embed_dim=4, norm_num_groups=32).save_pretrained(folder / "vqvae")
    parts = load_components(str(folder), device="cpu")
    assert type(parts["vae"]) is VQModel
    assert type(parts["unet"]) is UNet2DModel
