"""Another autoencoder is checked before work starts, and takes the place of the model's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from styleid_ray import StyleIDPipeline
from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import Checkpoint, find_checkpoint
from styleid_ray.model.repository import fetch
from styleid_ray.model.vae import find_vae, name_of
from tests.families import save_kl, save_unconditional

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tiny_model: Path) -> Checkpoint:
    return find_checkpoint(str(tiny_model))


@pytest.fixture
def kl(tmp_path: Path) -> Path:
    return save_kl(tmp_path / "kl")


@pytest.mark.parametrize("place", ["alone", "in a model"])
def test_a_folder_gives_its_weights_to_the_pipeline(
    tiny_model: Path, tmp_path: Path, place: str
) -> None:
    folder = tmp_path / "kl"
    save_kl(folder if place == "alone" else folder / "vae")
    pipe = StyleIDPipeline.from_pretrained(str(tiny_model), vae=str(folder), device="cpu")
    own = StyleIDPipeline.from_pretrained(str(tiny_model), device="cpu")
    name = "decoder.conv_in.weight"
    assert not pipe.vae.state_dict()[name].equal(own.vae.state_dict()[name])
    assert pipe.unet.state_dict()["conv_in.weight"].equal(own.unet.state_dict()["conv_in.weight"])


def test_a_tiny_autoencoder_stands_in_for_a_large_one(tiny_model: Path, tmp_path: Path) -> None:
    widths = {"encoder_block_out_channels": (4,) * 4, "decoder_block_out_channels": (4,) * 4}
    blocks = {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4}
    AutoencoderTiny(**widths, **blocks).save_pretrained(tmp_path / "taesd")
    pipe = StyleIDPipeline.from_pretrained(str(tiny_model), vae=str(tmp_path / "taesd"))
    (z,) = pipe.encode([torch.zeros(64, 64, 3, dtype=torch.uint8)])
    assert z.shape == (4, 8, 8)
    assert pipe.decode([z])[0].size == (64, 64)


def set_config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change


def pickled(suffix: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).rename((folder / WEIGHTS).with_suffix(suffix))

    return change


def cut_off(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def cut_off_early(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])


def one_of_two(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "neither a folder nor a hub id"),
        (lambda folder: (folder / "config.json").unlink(), r"there is no config\.json"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json cannot be read"),
        (
            lambda folder: (folder / "config.json").write_text("[]"),
            r"config\.json is not a configuration: download it again",
        ),
        (lambda folder: (folder / WEIGHTS).unlink(), "has no safetensors weights"),
        (pickled(".bin"), "pickle only: convert it to safetensors"),
        (pickled(".pth"), "pickle only: convert it to safetensors"),
        (cut_off, r"is cut off, damaged, or not a safetensors file \(.*\): download it again"),
        (cut_off_early, "is cut off, damaged"),
        (one_of_two, "has 1 of the 2 files of its weights"),
        (set_config(_class_name="VQModel"), "is a VQModel: it must be one of AutoencoderKL"),
        (set_config(latent_channels=16), "has 16 latent channels; .* needs 4"),
        (set_config(scaling_factor=0.13025), r"has the scaling factor 0\.13025; .* needs 0\.18215"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line_that_says_why(
    model: Checkpoint, kl: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(kl)
    with pytest.raises(ModelError, match=rf"--vae .*kl.*{message}") as error:
        find_vae(str(kl), model)
    assert "\n" not in str(error.value)


def test_an_autoencoder_of_another_factor_is_refused(model: Checkpoint, tmp_path: Path) -> None:
    other = save_kl(tmp_path / "kl", levels=3)
    with pytest.raises(ModelError, match=r"downsamples by 4; .* needs 8"):
        find_vae(str(other), model)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_model_of_codes_that_omits_its_channels_takes_an_autoencoder_of_three(
    tmp_path: Path, channels: int
) -> None:
    folder = save_unconditional(tmp_path / "codes")
    for part, values in (
        ("unet", {"in_channels": 3, "out_channels": 3}),
        ("vae", {"_class_name": "VQModel", "latent_channels": None}),
    ):
        set_config(**values)(folder / part)
    model = find_checkpoint(str(folder))
    other = str(save_kl(tmp_path / "kl", latent_channels=channels))
    if channels == 3:
        assert find_vae(other, model).config()["latent_channels"] == 3
        return
    with pytest.raises(ModelError, match=r"has 4 latent channels; .* needs 3"):
        find_vae(other, model)


def test_weights_of_other_shapes_than_their_configuration_are_one_line(
    tiny_model: Path, kl: Path
) -> None:
    set_config(block_out_channels=[8, 8, 8, 8])(kl)
    with pytest.raises(ModelError, match=r"--vae .*kl cannot be loaded") as error:
        StyleIDPipeline.from_pretrained(str(tiny_model), vae=str(kl))
    assert "\n" not in str(error.value)


def test_the_url_of_an_object_store_is_refused_with_a_way_out(model: Checkpoint) -> None:
    with pytest.raises(ModelError, match="hub or a local folder; copy it to a folder that every"):
        find_vae("s3://key:secret@bucket/vae", model)


def test_the_fingerprint_follows_the_weights_and_not_the_place(
    model: Checkpoint, kl: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(kl, tmp_path / "elsewhere" / "vae")).parent
    first, same = find_vae(str(kl), model), find_vae(str(moved), model)
    assert first.fingerprint == same.fingerprint
    assert (first.identity.split()[0], same.identity.split()[0]) == ("kl", "elsewhere")
    other = find_vae(str(save_kl(tmp_path / "other", seed=2)), model)
    assert other.fingerprint != first.fingerprint


def test_a_run_knows_an_autoencoder_by_the_last_part_of_its_name(kl: Path) -> None:
    assert name_of(str(kl)) == name_of(f"{kl}/") == name_of("someone/kl@main") == "kl"


@pytest.mark.parametrize("subfolder", ["", "vae"])
def test_an_autoencoder_on_the_hub_is_pinned_to_its_commit_and_only_its_own_files_are_fetched(
    model: Checkpoint, kl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str
) -> None:
    import huggingface_hub

    commit, asked = "0123456789abcdef0123456789abcdef01234567", list[list[str]]()
    start = f"{subfolder}/" if subfolder else ""
    cache = tmp_path / commit
    names = [start + "config.json", start + WEIGHTS, "unet/" + WEIGHTS, "README.md"]

    def download(name: str, revision: str | None, allow_patterns: list[str], **more: object) -> str:
        if more.get("local_files_only") and not cache.exists():
            raise OSError("nothing is cached")
        asked.append(allow_patterns)
        for pattern in allow_patterns:
            if pattern in names:
                (cache / pattern).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(kl / Path(pattern).name, cache / pattern)
        return str(cache)

    class Api:
        def model_info(self, name: str, revision: str | None) -> object:
            assert revision in (None, "main")
            sibling = huggingface_hub.hf_api.RepoSibling
            info = type("Info", (), {"siblings": [sibling(rfilename=name) for name in names]})
            return info()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    found = find_vae("someone/kl@main", model)
    assert found.reference == f"someone/kl@{commit}"
    assert (fetch(found) / start / WEIGHTS).is_file()
    assert asked[-1] == [start + "config.json", start + WEIGHTS]
    assert find_vae(found.reference, model).fingerprint == found.fingerprint, "without a request"


def test_a_name_that_is_neither_folder_nor_hub_id_says_what_to_write(model: Checkpoint) -> None:
    with pytest.raises(
        ModelError, match=r"--vae kl-f8: this is neither a folder nor a hub id \(OWNER/NAME\)"
    ):
        find_vae("kl-f8", model)
