"""Models that StyleID cannot use are refused before any weights are read, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import find_checkpoint
from tests.families import FAMILIES, save_sdxl, save_unconditional


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sdxl(tmp_path_factory.mktemp("models") / "xl", zeros=False)


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def unet(**values: object) -> Callable[[Path], None]:
    return lambda folder: change(folder / "unet" / "config.json", **values)


def vae(**values: object) -> Callable[[Path], None]:
    return lambda folder: change(folder / "vae" / "config.json", **values)


def scheduler(**values: object) -> Callable[[Path], None]:
    return lambda folder: change(folder / "scheduler" / "scheduler_config.json", **values)


def index(**values: object) -> Callable[[Path], None]:
    return lambda folder: change(folder / "model_index.json", **values)


def remove(part: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / part)


def transformer(folder: Path) -> None:
    (folder / "unet").rename(folder / "transformer")


def no_configuration(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("[]")


def half_a_configuration(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text('{"in_channels": ')


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        find_checkpoint(str(folder))
    assert str(error.value).startswith(f"model {folder}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_found_and_described(family: str, tmp_path: Path) -> None:
    found = find_checkpoint(str(FAMILIES[family](tmp_path)))
    assert found.factor == found.description.factor
    assert found.description.sites


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (transformer, r"a diffusion transformer .* no UNet decoder .*docs/models\.md"),
        (unet(_class_name="UNetMotionModel"), "its unet is a UNetMotionModel"),
        (unet(addition_embed_type="image"), "the condition 'image'"),
        (unet(class_embed_type="projection"), "conditioned on a class, a noise level or a picture"),
        (unet(num_class_embeds=1000), "conditioned on a class, a noise level or a picture"),
        (unet(encoder_hid_dim=16), "projects its prompt"),
        (unet(in_channels=9), "takes 9 channels but the autoencoder makes 4 .inpainting"),
        (unet(out_channels=8), "gives 8 channels"),
        (unet(up_block_types=["AttnSkipUpBlock2D"] * 4), "AttnSkipUpBlock2D"),
        (unet(up_block_types=["UpBlock2D"] * 4), "reads a prompt in its encoder and not in its"),
        (unet(up_block_types=["UpBlock2D"]), r"unet/config\.json does not describe a whole unet"),
        (no_configuration, r"unet/config\.json is not a configuration: download"),
        (half_a_configuration, r"unet/config\.json cannot be read: .*: download it again"),
        (vae(_class_name="AutoencoderDC"), "its autoencoder 'AutoencoderDC' is not supported"),
        (scheduler(prediction_type="sample"), "predicts 'sample'"),
        (scheduler(_class_name="EDMEulerScheduler"), "is not the one that DDIM inverts"),
    ],
)
def test_a_model_that_the_method_cannot_use_is_one_line_that_says_why(
    copied: Path, made: Callable[[Path], None], message: str
) -> None:
    made(copied)
    refused(copied, message)


def test_a_decoder_without_attention_is_refused(tmp_path: Path) -> None:
    folder = save_unconditional(tmp_path / "model")
    unet(up_block_types=["UpBlock2D"] * 3)(folder)
    refused(folder, "no self-attention that StyleID could inject")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (index(requires_aesthetics_score=True), "it is a refiner"),
        (remove("text_encoder"), "the part text_encoder/ is missing"),
        (remove("text_encoder_2"), "the part text_encoder_2/ is missing"),
        (remove("tokenizer_2"), "the part tokenizer_2/ is missing"),
    ],
)
def test_what_is_no_whole_sdxl_base_model_is_one_line_that_says_why(
    xl: Path, tmp_path: Path, made: Callable[[Path], None], message: str
) -> None:
    copied = Path(shutil.copytree(xl, tmp_path / "model"))
    made(copied)
    refused(copied, message)


def test_a_text_encoder_is_missed_only_where_the_unet_takes_text(tmp_path: Path) -> None:
    folder = save_unconditional(tmp_path / "model")
    assert find_checkpoint(str(folder)).description.text_width == 0
