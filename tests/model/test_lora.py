"""LoRA weights are added to the unet as diffusers would use them, or refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from peft.utils import set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import find_checkpoint
from styleid_ray.model.loading import load_components
from styleid_ray.model.lora import name_of, reference_of, split, with_loras
from tests.families import save_sdxl, save_unconditional
from tests.lora import LAYERS, save_lora


def kohya(file: Path, alpha: float) -> dict[str, Tensor]:
    """The weights under the names that kohya-ss gives them, with its own scale and some of a text
    encoder."""
    tensors = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 8)}
    tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = torch.ones(8, 2)
    for name, x in load_file(file).items():
        name = name.replace("lora_A", "lora.down").replace("lora_B", "lora.up")
        layer, _, end = name.removeprefix("unet.").partition(".lora.")
        layer = f"lora_unet_{layer.replace('.', '_')}"
        tensors[f"{layer}.lora_{end}"] = x
        tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    return tensors


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lora(tiny_model, tmp_path_factory.mktemp("loras") / "ink.safetensors")


def unet_of(model: Path, lora: str | list[str]) -> Any:
    return load_components(str(model), device="cpu", lora=lora)["unet"]


def noise(unet: Any) -> Tensor:
    torch.manual_seed(6)
    width = unet.config.cross_attention_dim
    with torch.no_grad():
        return unet(torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, width)).sample


def expected(model: Path, lora: Path, weight: float) -> Tensor:
    """The unet's prediction with LoRA weights beside its own, as in their training."""
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=LAYERS), "ink")
    named = ((n.removeprefix("unet."), x) for n, x in load_file(lora).items())
    short = {".lora.down.": ".lora_A.", ".lora.up.": ".lora_B."}
    tensors = {}
    for name, x in named:
        for old, new in short.items():
            name = name.replace(old, new)
        tensors[name] = x
    result = set_peft_model_state_dict(unet, tensors, "ink")
    assert not result.unexpected_keys
    unet.set_adapters("ink", weight)
    return noise(unet)


@pytest.mark.parametrize("weight", [1.0, 0.5, -0.25])
def test_a_unet_with_lora_weights_predicts_what_diffusers_predicts(
    tiny_model: Path, lora: Path, weight: float
) -> None:
    unet = unet_of(tiny_model, f"{lora}:{weight}")
    torch.testing.assert_close(
        noise(unet), expected(tiny_model, lora, weight), atol=1e-5, rtol=1e-5
    )
    plain = unet_of(tiny_model, [])
    assert not torch.allclose(noise(plain), noise(unet), atol=1e-3)
    assert unet.state_dict().keys() == plain.state_dict().keys(), "nothing is left beside them"


def test_weights_under_the_names_of_kohya_are_scaled_by_their_alpha(
    tiny_model: Path, lora: Path, tmp_path: Path
) -> None:
    save_file(kohya(lora, alpha=1.0), tmp_path / "kohya.safetensors", {"format": "pt"})
    ours = unet_of(tiny_model, str(tmp_path / "kohya.safetensors"))
    torch.testing.assert_close(noise(ours), noise(unet_of(tiny_model, f"{lora}:0.5")))


def test_each_layer_is_scaled_by_its_own_alpha_and_rank(
    tiny_model: Path, lora: Path, tmp_path: Path
) -> None:
    tensors = kohya(lora, alpha=2.0)
    for layer in [n.removesuffix(".alpha") for n in tensors if n.endswith(".alpha")][::3]:
        for part, dim in (("down", 0), ("up", 1)):
            x = tensors[f"{layer}.lora_{part}.weight"]
            tensors[f"{layer}.lora_{part}.weight"] = torch.cat([x, 0.5 * x], dim)
        tensors[f"{layer}.alpha"] = torch.tensor(3.0)
    (bare,) = [n for n in tensors if "mid_block" in n and "ff_net_0_proj.alpha" in n]
    del tensors[bare]
    save_file(tensors, tmp_path / "kohya.safetensors", {"format": "pt"})
    plain = unet_of(tiny_model, []).state_dict()
    ours = unet_of(tiny_model, f"{tmp_path / 'kohya.safetensors'}:0.7").state_dict()
    changed, scales = set(), set()
    for name, x in plain.items():
        layer = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
        down = tensors.get(f"{layer}.lora_down.weight")
        if down is not None:
            rank, up = len(down), tensors[f"{layer}.lora_up.weight"]
            scale = float(tensors.get(f"{layer}.alpha", rank)) / rank
            x = x + 0.7 * scale * (up.flatten(1) @ down.flatten(1)).view_as(x)
            changed.add(layer)
            scales.add(scale)
        torch.testing.assert_close(ours[name], x)
    assert (len(changed), scales) == (57, {1.0, 0.75})


def test_several_lora_files_are_added_one_after_the_other(tiny_model: Path, lora: Path) -> None:
    both = unet_of(tiny_model, f"{lora}:0.25, {lora}:0.75")
    torch.testing.assert_close(noise(both), noise(unet_of(tiny_model, str(lora))))


def test_python_takes_paths_as_well_as_text(tiny_model: Path, lora: Path) -> None:
    assert split([lora, f"{lora}:0.5"]) == [str(lora), f"{lora}:0.5"]
    assert split(lora) == split(f" {lora},") == [str(lora)]
    pair: Any = [(lora, 0.5)]
    with pytest.raises(ModelError, match="is not a file: write 'FILE' or 'FILE:WEIGHT'"):
        load_components(str(tiny_model), device="cpu", lora=pair)


def test_sdxl_takes_lora_weights_and_makes_pictures(tmp_path: Path) -> None:
    model = save_sdxl(tmp_path / "xl")
    file = save_lora(model, tmp_path / "xl.safetensors")
    z, params = torch.randn(2, 1, 4, 8, 8), StyleParams(steps=2)
    with_lora, without = (
        StyleIDPipeline.from_pretrained(str(model), device="cpu", lora=x).transfer_latents(
            *z, params=params
        )
        for x in (str(file), "")
    )
    assert with_lora.isfinite().all()
    assert not torch.allclose(with_lora, without, atol=1e-3)


def refused(model: Path, lora: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^--lora .*{message}") as error:
        load_components(str(model), device="cpu", lora=lora)
    assert "\n" not in str(error.value)


def pickled(file: Path) -> Path:
    return file.rename(file.with_suffix(".pt"))


def cut_off(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:-100])
    return file


def renamed(old: str, new: str) -> Callable[[Path], Path]:
    def change(file: Path) -> Path:
        save_file({name.replace(old, new): x for name, x in load_file(file).items()}, file)
        return file

    return change


def text(file: Path) -> Path:
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    return file


def of_larger_kernels(file: Path) -> Path:
    tensors = load_file(file)
    grown = {n: x.repeat(1, 1, 2, 2) for n, x in tensors.items() if "conv1" in n and "_A" in n}
    grown |= {n: x.repeat(1, 1, 2, 2) for n, x in tensors.items() if "conv1" in n and "down" in n}
    assert grown
    save_file(tensors | grown, file)
    return file


def of_three_factors(file: Path) -> Path:
    """With weights between down and up, as LyCORIS writes for convolutions."""
    tensors = kohya(file, alpha=1.0)
    save_file({**tensors, "lora_unet_conv_in.lora_mid.weight": torch.ones(2, 2, 3, 3)}, file)
    return file


def wider(file: Path) -> Path:
    """LoRA weights of a model with more channels."""
    tensors = load_file(file)
    doubled = {
        n: torch.cat([x, x], dim=int("down" in n or "lora_A" in n)) for n, x in tensors.items()
    }
    save_file({n: x if "attn2.to_k" in n else doubled[n] for n, x in tensors.items()}, file)
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled, "is a pickle: convert it to safetensors"),
        (cut_off, "is cut off, damaged"),
        (lambda file: file.parent, "is a folder: name a .safetensors file in it"),
        (lambda file: file.with_name("no.safetensors"), "there is no such file"),
        (
            text,
            r"a\.safetensors is cut off, damaged, or not a safetensors file .*: download it again",
        ),
        (lambda file: f"{file}:strong", r"a\.safetensors: weight 'strong' is not a number"),
        (lambda file: f"{file}:nan", "weight 'nan' is not a number"),
        (lambda file: f"{file}:", "weight '' is not a number"),
        (renamed("unet.", "transformer."), "for a diffusion transformer .* and .*tiny has a unet"),
        (renamed("unet.", "prior."), "has no LoRA weights of a unet"),
        (renamed("lora.up", "dora_scale"), "holds DoRA weights"),
        (renamed("lora.up.weight", "lora_magnitude_vector"), "holds DoRA weights"),
        (of_larger_kernels, r"does not fit .*tiny: \d+ of its 57 layers .* have another shape"),
        (of_three_factors, "cannot be added: .* not been correctly renamed: .*conv_in.lora_mid"),
        (
            renamed("up_blocks.3", "up_blocks.4"),
            r"does not fit .*tiny: \d+ of its 57 layers are not in the unet.* as up_blocks\.4",
        ),
        (wider, r"does not fit .*tiny: \d+ of its 57 layers .* have another shape"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_that_says_why(
    tiny_model: Path,
    lora: Path,
    tmp_path: Path,
    change: Callable[[Path], Path | str],
    message: str,
) -> None:
    copied = Path(shutil.copy(lora, tmp_path / "a.safetensors"))
    shutil.copy(lora, tmp_path / "b.safetensors")
    refused(tiny_model, str(change(copied)), message)


def test_weights_of_another_family_are_refused_before_any_are_read(
    tiny_model: Path, lora: Path, tmp_path: Path
) -> None:
    text = {f"lora_unet_{part}_attn2_to_k.lora_down.weight": torch.zeros(4, 2048) for part in "ab"}
    save_file(text, tmp_path / "xl.safetensors")
    model = find_checkpoint(str(tiny_model))
    with pytest.raises(
        ModelError, match=r"was made for Stable Diffusion XL, and .*tiny is a model"
    ):
        with_loras(model, [str(tmp_path / "xl.safetensors")])
    second = {"lora_te2_x.lora_down.weight": torch.zeros(4, 8)}
    second["lora_unet_a_attn1_to_k.lora_down.weight"] = torch.zeros(4, 8)
    save_file(second, tmp_path / "unread.safetensors")
    with pytest.raises(ModelError, match="was made for Stable Diffusion XL, and"):
        with_loras(model, [str(tmp_path / "unread.safetensors")])
    plain = find_checkpoint(str(save_unconditional(tmp_path / "plain")))
    with pytest.raises(ModelError, match="plain is a model without text"):
        with_loras(plain, [str(lora)])


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_a_attn2_to_v.lora_down.weight",
        "unet.a.attn2.to_k.lora_A.weight",
        "unet.a.attn2.to_v.lora.down.weight",
        "unet.a.attn2.processor.to_k_lora.down.weight",
    ],
)
def test_the_family_of_weights_is_known_under_all_their_names(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    save_file({name: torch.zeros(4, 768)}, tmp_path / "sd1.safetensors")
    with pytest.raises(ModelError, match=r"was made for Stable Diffusion 1\.x, and"):
        with_loras(find_checkpoint(str(tiny_model)), [str(tmp_path / "sd1.safetensors")])


def test_the_url_of_a_file_is_refused_with_a_way_out(tiny_model: Path) -> None:
    refused(tiny_model, "https://host/ink.safetensors?token=secret", "local files; copy them")


def test_a_run_records_lora_files_by_name_weight_and_contents(
    tiny_model: Path, lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = find_checkpoint(str(tiny_model))
    moved = Path(shutil.copy(lora, tmp_path / "ink.safetensors"))
    monkeypatch.chdir(tmp_path)
    (first,), (same,), (other,) = (
        with_loras(model, [x]).loras for x in (f"{lora}:0.8", "ink.safetensors:.80", str(lora))
    )
    assert first.identity == same.identity
    assert same.identity.startswith("ink.safetensors:0.8 ")
    assert first.identity != other.identity
    assert name_of(str(lora)) == "ink.safetensors:1"
    assert (
        name_of("ink.safetensors:1e-5")
        == "ink.safetensors:1e-05"
        == name_of(name_of("ink.safetensors:1e-5"))
    )
    assert reference_of("ink.safetensors:0.8") == same.reference == f"{moved}:0.8"


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
