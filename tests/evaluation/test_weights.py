"""Weights from a folder or from the network, and the wrong ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch

from styleid_ray.errors import ConfigError, RowError
from styleid_ray.evaluation import weights
from styleid_ray.evaluation.weights import load_weights
from tests.evaluation.conftest import Networks


def test_a_folder_is_read_and_only_what_is_used_is_kept(
    weights_folder: Path, networks: Networks
) -> None:
    loaded = load_weights(str(weights_folder))
    assert not loaded.missing
    assert set(loaded.weights["alexnet"]) == {
        f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias")
    }
    used = loaded.weights["art_inception"]
    assert not [name for name in used if name.startswith(("Aux", "fc"))]
    assert len(used) == 94 * 5
    for name, tensor in used.items():
        assert torch.equal(tensor, networks["art_inception"][name])
    file = weights_folder / "vgg19.pth"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.files["vgg19"] == {"file": str(file), "sha256": digest}


def test_a_missing_file_is_named_with_the_metrics_that_lack_it(
    tmp_path: Path, networks: Networks
) -> None:
    torch.save(networks["vgg19"], tmp_path / "vgg19.pth")
    loaded = load_weights(str(tmp_path))
    assert set(loaded.missing) == {"fid", "artfid", "lpips", "lpips_gray"}
    assert "art_inception.safetensors or art_inception.pth" in loaded.missing["fid"]
    assert str(tmp_path) in loaded.missing["lpips"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--weights .*nowhere: there is no such folder"):
        load_weights(str(tmp_path / "nowhere"))


def test_weights_of_another_network_are_refused(tmp_path: Path, networks: Networks) -> None:
    torch.save(networks["vgg19"], tmp_path / "alexnet.pth")
    with pytest.raises(ConfigError, match=r"alexnet\.pth has? .*another network|alexnet\.pth hold"):
        load_weights(str(tmp_path))


def test_an_inception_trained_on_photographs_is_refused(tmp_path: Path, networks: Networks) -> None:
    tensors = networks["art_inception"] | {"fc.weight": torch.zeros(1000, 2048)}
    torch.save(tensors, tmp_path / "art_inception.pth")
    with pytest.raises(ConfigError, match=r"another network \(it has fc\.weight\)"):
        load_weights(str(tmp_path))


def test_a_damaged_file_and_one_with_code_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "vgg19.pth"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="is damaged, or no file of weights alone"):
        load_weights(str(tmp_path))
    torch.save({"features.0.weight": Harmful()}, file)
    with pytest.raises(ConfigError, match="no file of weights alone"):
        load_weights(str(tmp_path))
    assert "STYLEID_RAY_HARM" not in os.environ


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.putenv, ("STYLEID_RAY_HARM", "1")


def test_a_file_that_its_checksum_does_not_fit_is_refused(
    tmp_path: Path, networks: Networks
) -> None:
    torch.save(networks["vgg19"], tmp_path / "vgg19.pth")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  vgg19.pth\n")
    with pytest.raises(ConfigError, match="SHA256SUMS"):
        load_weights(str(tmp_path))


def test_offline_the_missing_file_and_its_place_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str) -> None:
        raise RowError("fetch", "no way there")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "fetch", fail)
    said: list[str] = []
    loaded = load_weights(None, said.append)
    place = tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"
    assert f"put that file at {place}" in loaded.missing["cfsd"]
    assert "vgg19.pth" in loaded.missing["cfsd"]
    assert "no way there" in loaded.missing["fid"]
    assert len(said) == 3


def test_a_download_is_kept_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_folder: Path
) -> None:
    data = (weights_folder / "art_inception.pth").read_bytes()
    asked: list[str] = []

    class Got:
        def __init__(self, url: str) -> None:
            asked.append(url)
            self.data = data

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "fetch", Got)
    for _ in range(2):
        loaded = load_weights(None)
        assert "art_inception" in loaded.weights
        # The others' names tell what they must be.
        assert "by its SHA-256" in loaded.missing["lpips"]
    assert len([url for url in asked if "art_inception" in url]) == 1
