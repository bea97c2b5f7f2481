"""A model in one file gives the pictures that its folder gives, or is refused by its header."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from styleid_ray import StyleIDPipeline
from styleid_ray.errors import ModelError
from styleid_ray.model import single_file
from styleid_ray.model.checkpoint import find_checkpoint
from styleid_ray.model.loading import load_components
from tests.families import save_kl, save_sd2, save_sdxl
from tests.ldm_names import (
    XL_TEXT,
    clip_names,
    copy_configs,
    open_clip_names,
    save_single,
    set_padding,
    unet_names,
    vae_names,
)

BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
KINDS = {"sd1": "v1", "sd2": "v2", "sdxl": "xl_base"}


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, Path], None]:
    """Puts the configurations of a tiny model in place of a family's, whose kind all files are."""

    def replace(name: str, folder: Path, padding: int = 5) -> None:
        configs = copy_configs(folder, tmp_path / "configs")
        if (folder / "text_encoder").exists():
            set_padding(configs, padding)
        monkeypatch.setattr(single_file, "folder_of", lambda family: configs)
        monkeypatch.setattr(single_file, "kind_of", lambda header: KINDS[name])

    return replace


def same_parts(file: Path, folder: Path, **options: Any) -> dict[str, Any]:
    """The parts of a file, which are those of the folder."""
    parts = load_components(str(file), device="cpu", **options)
    expected = load_components(str(folder), device="cpu", **options)
    for part in ("unet", "vae"):
        ours, theirs = parts[part].state_dict(), expected[part].state_dict()
        assert ours.keys() == theirs.keys()
        assert all(x.equal(theirs[name]) for name, x in ours.items())
    torch.testing.assert_close(parts["null_embedding"], expected["null_embedding"])
    return parts


def test_a_file_of_sd_1_gives_what_its_folder_gives(
    family: Any, tiny_model: Path, tmp_path: Path
) -> None:
    file = save_single(tiny_model, tmp_path / "sd1.safetensors")
    family("sd1", tiny_model)
    assert same_parts(file, tiny_model)["scheduler"].config.prediction_type == "epsilon"


def save_spread(folder: Path, file: Path, spread: float, **metadata: str) -> Path:
    """A file of the second family in which the bias that tells ε from v spreads so far."""
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    bias = tensors["up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"]
    bias.copy_(torch.tensor([spread, -spread]).repeat(len(bias) // 2))
    save_file(tensors, weights, {"format": "pt"})
    return save_single(folder, file, open_clip=True, **metadata)


def test_a_file_of_sd_2_gives_what_its_folder_gives(family: Any, tmp_path: Path) -> None:
    folder = save_sd2(tmp_path / "sd2")
    file = save_spread(folder, tmp_path / "sd2.safetensors", 0.12)
    family("sd2", folder, padding=0)
    assert same_parts(file, folder)["scheduler"].config.prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("metadata", "spread", "expected"),
    [
        ({"modelspec.prediction_type": "v"}, 0.01, "v_prediction"),
        ({"modelspec.prediction_type": "epsilon"}, 0.5, "epsilon"),
        ({}, 0.12, "v_prediction"),
        ({}, 0.06, "epsilon"),
    ],
)
def test_a_file_of_sd_2_is_known_to_predict_noise_or_velocity(
    family: Any, tmp_path: Path, metadata: dict[str, str], spread: float, expected: str
) -> None:
    folder = save_sd2(tmp_path / "sd2")
    file = save_spread(folder, tmp_path / "sd2.safetensors", spread, **metadata)
    family("sd2", folder, padding=0)
    model = find_checkpoint(str(file))
    assert model.description.prediction_type == expected
    assert model.config("unet")["sample_size"] == (96 if expected == "v_prediction" else 8)


def test_a_file_of_sdxl_gives_what_its_folder_gives(family: Any, tmp_path: Path) -> None:
    folder = save_sdxl(tmp_path / "xl")
    file = save_single(folder, tmp_path / "xl.safetensors")
    family("sdxl", folder)
    parts = same_parts(file, folder, dtype="float16")
    assert not parts["pooled_embedding"].any()
    assert (parts["unet"].dtype, parts["vae"].dtype) == (torch.float16, torch.float32)


def test_the_fingerprint_of_a_file_follows_its_weights(
    family: Any, tiny_model: Path, tmp_path: Path
) -> None:
    file = save_single(tiny_model, tmp_path / "sd1.safetensors")
    family("sd1", tiny_model)
    first = find_checkpoint(str(file))
    before = first.fingerprint
    assert find_checkpoint(str(file)).fingerprint == before
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert find_checkpoint(str(file)).fingerprint != before
    assert first.needed == ["sd1.safetensors"]


def test_a_file_without_an_autoencoder_takes_another(
    family: Any, tiny_model: Path, tmp_path: Path
) -> None:
    file = without(save_single(tiny_model, tmp_path / "sd1.safetensors"), "first_stage_model.")
    family("sd1", tiny_model)
    with pytest.raises(ModelError, match="the file has no autoencoder: name one with --vae"):
        StyleIDPipeline.from_pretrained(str(file), device="cpu")
    other = save_kl(tmp_path / "kl", scaling_factor=0.18215)
    assert StyleIDPipeline.from_pretrained(str(file), device="cpu", vae=str(other)).vae


def without(file: Path, start: str) -> Path:
    """The same file without some of its tensors."""
    save_file({name: x for name, x in load_file(file).items() if not name.startswith(start)}, file)
    return file


@pytest.mark.parametrize(
    ("part", "start"),
    [
        ("unet", "model.diffusion_model.middle_block.1."),
        ("text_encoder", "cond_stage_model.transformer.text_model.encoder.layers.0.mlp."),
    ],
)
def test_a_part_that_was_made_smaller_is_one_line(
    family: Any, tiny_model: Path, tmp_path: Path, part: str, start: str
) -> None:
    file = save_single(tiny_model, tmp_path / "small.safetensors")
    family("sd1", tiny_model)
    without(file, start)
    with pytest.raises(ModelError, match=rf"its {part} lacks weights of its family \(sd1\)"):
        load_components(str(file), device="cpu")


def header_of(file: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Writes a file that has names and shapes, and a hole in place of weights."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": (end, end + size)}
        end += size
    text = json.dumps(entries).encode()
    with file.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + end)
    return file


def test_a_file_of_another_size_than_its_family_is_one_line(
    family: Any, tiny_model: Path, tmp_path: Path
) -> None:
    file = save_single(tiny_model, tmp_path / "sd1.safetensors")
    family("sd1", tiny_model)
    configs = single_file.folder_of("sd1") / "unet" / "config.json"
    config = json.loads(configs.read_text())
    for change, name in (
        ({"block_out_channels": [16, 8, 8, 8]}, r"input_blocks\.0\.0\.weight has the shape"),
        (
            {"cross_attention_dim": 24},
            r"attn2\.to_k\.weight .* dimension 2 should be 24",
        ),
    ):
        configs.write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=rf"unet that is not of its family \(sd1\): .*{name}"):
            find_checkpoint(str(file))


ENTRY = "model.diffusion_model.input_blocks.0.0.weight"
LABEL = "model.diffusion_model.label_emb.0.0.weight"
TO_K = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
UNET = {ENTRY: (320, 4, 3, 3)}
TEXT = {"cond_stage_model.model.ln_final.bias": (1024,)}
SD2 = UNET | TEXT | {TO_K: (640, 1024)}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (UNET | TEXT | {"edm_vpred.sigma_max": (1,)}, "kind 'EDM' .*not the one that DDIM inverts"),
        (SD2 | {ENTRY: (320, 5, 3, 3)}, "unet that takes 5 channels and not 4 .inpainting, depth"),
        (SD2 | {LABEL: (1280, 1536)}, "unet that is conditioned on a noise level or a picture"),
        (
            UNET | TEXT | {TO_K: (320, 640)},
            r"family \(sd1\): .* dimension 2 should be 768",
        ),
        (
            TEXT | {TO_K: (320, 768)},
            r"not of its family \(sd1\): .*0\.0\.weight has the shape \[\]",
        ),
        (UNET | TEXT | {ENTRY: (192, 4, 3, 3)}, r"\[192, 4, 3, 3\]; dimension 1 should be 320"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "kind 'inpainting'"),
        (UNET | {XL_TEXT.replace("ers.1", "ers.0"): (1280,)}, "kind 'xl_refiner'"),
        (UNET | {"edm_mean": (4,)}, "kind 'EDM' .CosXL and Playground 2.5 are."),
        (
            {"model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale": (128,)},
            "kind 'flux-schnell'",
        ),
        (UNET, "has no text encoder"),
        ({"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": (8, 4)}, "go to --lora"),
    ],
)
def test_a_file_of_another_family_is_refused_by_its_header(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    file = header_of(tmp_path / "model.safetensors", shapes)
    with pytest.raises(ModelError, match=rf"^model {file}: the file .*{message}") as error:
        find_checkpoint(str(file))
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    file = header_of(tmp_path / "model.safetensors", UNET)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"is cut off, damaged, .*: download it again"):
        find_checkpoint(str(file))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").touch()
    with pytest.raises(ModelError, match="is a pickle: convert it to safetensors"):
        find_checkpoint(str(tmp_path / "model.ckpt"))


def test_a_file_that_does_not_exist_is_called_a_file() -> None:
    with pytest.raises(ModelError, match=r"model file \./no\.safetensors does not exist"):
        find_checkpoint("./no.safetensors")


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_the_configurations_of_a_family_are_those_of_its_files(name: str, tmp_path: Path) -> None:
    """Names and shapes alone, of the full size."""
    folder = single_file.folder_of(name)
    configs = {p.parent.name: json.loads(p.read_text()) for p in folder.rglob("config.json")}
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(configs["unet"])
        vae: Any = AutoencoderKL.from_config(configs["vae"])
        text = (
            CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"]))
            if "text_encoder" in configs
            else None
        )
    tensors = unet_names(unet.state_dict(), 2) | vae_names(vae.state_dict(), 4)
    if text is None:
        tensors[XL_TEXT] = torch.empty(1, device="meta")
    else:
        tensors |= (clip_names if name == "sd1" else open_clip_names)(text.state_dict())
    converted = single_file_utils.convert_ldm_unet_checkpoint(tensors, configs["unet"])
    assert {n: x.shape for n, x in converted.items()} == {
        n: x.shape for n, x in unet.state_dict().items()
    }
    shapes = {n: tuple(x.shape) for n, x in tensors.items()}
    found = find_checkpoint(str(header_of(tmp_path / "model.safetensors", shapes)))
    assert found.single is not None
    assert (found.single.family, found.single.prediction_type) == (name, "epsilon")
    assert found.description.native_size == (1024 if name == "sdxl" else 512)
    assert PUBLISHED[name] <= shapes.items()


_TEXT = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
_SD_UNET = {"in_channels": 4, "out_channels": 4, "sample_size": 64, "layers_per_block": 2}
_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}
PINNED: dict[str, dict[str, dict[str, Any]]] = {
    "sd1": {
        "unet": {**_SD_UNET, "attention_head_dim": 8, "cross_attention_dim": 768},
        "vae": {"latent_channels": 4, "scaling_factor": 0.18215},
        "scheduler": _SCHEDULER,
        # Tokenizers pad with the last token, the text encoder's own files say otherwise.
        "text_encoder": {
            **_TEXT,
            "pad_token_id": 49407,
            "hidden_act": "quick_gelu",
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
        },
    },
    "sd2": {
        "unet": {
            **_SD_UNET,
            "attention_head_dim": [5, 10, 20, 20],
            "cross_attention_dim": 1024,
            "use_linear_projection": True,
        },
        "vae": {"latent_channels": 4, "scaling_factor": 0.18215},
        "scheduler": _SCHEDULER,
        # The last of 24 layers is not used, and padding is "!".
        "text_encoder": {
            **_TEXT,
            "pad_token_id": 0,
            "hidden_act": "gelu",
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
        },
    },
    "sdxl": {
        "unet": {
            **_SD_UNET,
            "sample_size": 128,
            "attention_head_dim": [5, 10, 20],
            "cross_attention_dim": 2048,
            "transformer_layers_per_block": [1, 2, 10],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        "vae": {"latent_channels": 4, "scaling_factor": 0.13025, "force_upcast": True},
        "scheduler": _SCHEDULER,
    },
}
"""Settings of published models that no tensor's shape determines."""


@pytest.mark.parametrize("name", list(PINNED))
def test_the_numbers_of_a_family_that_no_weights_tell_are_the_published_ones(name: str) -> None:
    single = single_file.SingleFile(name, "epsilon", zero_snr=False, parts=frozenset())
    assert {path.name for path in single.folder.iterdir()} == set(PINNED[name])
    for part, pinned in PINNED[name].items():
        config = single.config(part)
        assert {key: config.get(key) for key in pinned} == pinned


PUBLISHED = {
    "sd1": {
        (BIAS, (320,)),
        ("model.diffusion_model.middle_block.1.proj_in.weight", (1280, 1280, 1, 1)),
        (
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            (320, 768),
        ),
        ("cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc1.weight", (3072, 768)),
        ("first_stage_model.decoder.up.0.block.2.conv2.weight", (128, 128, 3, 3)),
    },
    "sd2": {
        (TO_K, (320, 1024)),
        ("model.diffusion_model.middle_block.1.proj_in.weight", (1280, 1280)),
        ("cond_stage_model.model.transformer.resblocks.22.attn.in_proj_weight", (3072, 1024)),
        ("cond_stage_model.model.token_embedding.weight", (49408, 1024)),
    },
    "sdxl": {
        ("model.diffusion_model.label_emb.0.0.weight", (1280, 2816)),
        ("model.diffusion_model.middle_block.1.transformer_blocks.9.ff.net.2.weight", (1280, 5120)),
        ("model.diffusion_model.output_blocks.8.0.skip_connection.weight", (320, 640, 1, 1)),
        ("model.diffusion_model.output_blocks.5.2.conv.weight", (640, 640, 3, 3)),
    },
}
"""Names and shapes of published files of each family."""
