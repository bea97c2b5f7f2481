"""The files of a model in an object store come whole, or the one that does not is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from styleid_ray.batch.cluster.model_store import StoredModel
from styleid_ray.errors import ModelError
from tests.families import save_sdxl
from tests.unreliable import Unreliable, unreliable

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Unreliable]:
    """A way to the S3 server that keeps account of what is asked for."""
    with unreliable(s3_endpoint, share=0) as made:
        yield made


def fetched(url: str, folder: Path, endpoint: str) -> bytes:
    """The UNet's weights of a model as they come here."""
    # Small blocks: a few kilobytes stand for the gigabytes of a real model.
    store = StoredModel(url, {"endpoint_url": endpoint, "default_block_size": 4096})
    store.fetch([WEIGHTS], folder)
    return (folder / WEIGHTS).read_bytes()


def test_only_files_that_loading_takes_are_part_of_a_model(stored_model: str) -> None:
    import s3fs

    before = StoredModel(stored_model)
    for name in (
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "safety_checker/model.safetensors",
        "v1-5-pruned.safetensors",
    ):
        s3fs.S3FileSystem().pipe_file(f"{stored_model}/{name}", b"not to be fetched")
    after = StoredModel(stored_model)
    assert after.versions == before.versions
    assert after.checkpoint.revision == before.checkpoint.revision
    parts = {name.partition("/")[0] for name in after.versions}
    assert parts == {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}


def test_text_encoders_are_not_part_of_a_model_whose_empty_prompt_is_zeros(
    s3: str, tmp_path: Path
) -> None:
    import s3fs

    parts = {}
    for name, zeros in (("zeros", True), ("encoded", False)):
        folder = save_sdxl(tmp_path / name, zeros)
        s3fs.S3FileSystem().put(f"{folder}/", f"{s3}/models/{name}/", recursive=True)
        listing = StoredModel(f"{s3}/models/{name}")
        weights = [n for n in listing.versions if n.endswith(".safetensors")]
        parts[name] = {n.partition("/")[0] for n in weights}
        assert "model_index.json" in listing.versions
    assert parts["zeros"] == {"unet", "vae"}
    assert parts["encoded"] == {"unet", "vae", "text_encoder", "text_encoder_2"}


def test_the_revision_follows_the_files_and_not_the_place(s3: str, stored_model: str) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.copy(f"{stored_model}/", f"{s3}/elsewhere/tiny", recursive=True)
    revision = StoredModel(stored_model).checkpoint.revision
    assert StoredModel(f"{s3}/elsewhere/tiny/").checkpoint.revision == revision
    data: Any = fs.cat_file(f"{stored_model}/{WEIGHTS}")
    fs.pipe_file(f"{stored_model}/{WEIGHTS}", data[:-1] + bytes([data[-1] ^ 1]))
    assert StoredModel(stored_model).checkpoint.revision != revision


def test_a_transfer_that_is_cut_short_is_made_again(
    stored_model: str, proxy: Unreliable, tiny_model: Path, tmp_path: Path
) -> None:
    def cut_once(path: str, data: bytes) -> bytes:
        first = sum(WEIGHTS in get for get in proxy.gets) == 1
        return data[:1000] if WEIGHTS in path and first else data

    proxy.change = cut_once
    assert fetched(stored_model, tmp_path, proxy.address) == (tiny_model / WEIGHTS).read_bytes()


def test_a_file_that_never_comes_whole_is_named_in_one_line(
    stored_model: str, proxy: Unreliable, tmp_path: Path
) -> None:
    proxy.change = lambda path, data: data[:1000] if WEIGHTS in path else data
    with pytest.raises(ModelError, match=rf"{WEIGHTS} cannot be fetched to .*tmp") as error:
        fetched(stored_model, tmp_path, proxy.address)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://no-such-bucket-at-all/model", "no such bucket, folder or file"),
        ("{s3}/nothing", "no such bucket, folder or file"),
        ("{s3}", "not a model in diffusers format"),
        ("hdfs+x://host/model", "cannot be opened"),
        ("gs://bucket/model", "gs:// needs a package that is missing"),
        (
            "http://me:pa55word@127.0.0.1:9/model",
            "9/model: it cannot be listed",
        ),
    ],
)
def test_a_folder_that_is_not_a_model_gives_one_error_line_without_secrets(
    s3: str, url: str, said: str
) -> None:
    with pytest.raises(ModelError, match=said) as error:
        StoredModel(url.format(s3=s3))
    assert "\n" not in str(error.value)
    assert "pa55word" not in str(error.value)


def test_missing_credentials_are_requested(
    stored_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ModelError, match=r"cannot be listed \(NoCredentials.*--storage-options"):
        StoredModel(stored_model)
