"""What is taken for a model in an object store, and what of it is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from styleid_ray.batch.cluster.model_store import ModelStore
from styleid_ray.errors import ModelError
from tests.unreliable import Unreliable, unreliable

Change = Callable[[str, bytes], bytes]
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Unreliable]:
    """A way to the S3 server that keeps account of what is asked for."""
    with unreliable(s3_endpoint, share=0) as made:
        yield made


def fetched(url: str, name: str, target: Path, endpoint: str) -> bytes:
    """A file of a model as it comes here."""
    # Small blocks: a few kilobytes stand for the gigabytes of a real model.
    store = ModelStore(url, {"endpoint_url": endpoint, "default_block_size": 4096})
    store.fetch(name, store.listing().files[name], target)
    return target.read_bytes()


def test_only_what_loading_takes_is_part_of_a_model(stored_model: str) -> None:
    import s3fs

    store = ModelStore(stored_model)
    before = store.listing()
    for name in (
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "safety_checker/model.safetensors",
        "v1-5-pruned.safetensors",
    ):
        s3fs.S3FileSystem().pipe_file(f"{stored_model}/{name}", b"not to be fetched")
    after = store.listing()
    assert after.files == before.files
    assert after.revision == before.revision
    parts = {name.partition("/")[0] for name in after.files}
    assert parts == {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}


def test_the_revision_follows_the_files_and_not_the_place(s3: str, stored_model: str) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.copy(f"{stored_model}/", f"{s3}/elsewhere/tiny", recursive=True)
    revision = ModelStore(stored_model).listing().revision
    assert ModelStore(f"{s3}/elsewhere/tiny/").listing().revision == revision
    data: Any = fs.cat_file(f"{stored_model}/{WEIGHTS}")
    fs.pipe_file(f"{stored_model}/{WEIGHTS}", data[:-1] + bytes([data[-1] ^ 1]))
    assert ModelStore(stored_model).listing().revision != revision


def test_a_transfer_that_is_cut_short_is_made_again(
    stored_model: str, proxy: Unreliable, tiny_model: Path, tmp_path: Path
) -> None:
    def cut_once(path: str, data: bytes) -> bytes:
        first = sum(WEIGHTS in get for get in proxy.gets) == 1
        return data[:1000] if WEIGHTS in path and first else data

    proxy.change = cut_once
    data = fetched(stored_model, WEIGHTS, tmp_path / "weights", proxy.address)
    assert data == (tiny_model / WEIGHTS).read_bytes()
    assert sum(WEIGHTS in get for get in proxy.gets) == 2


def flipped(path: str, data: bytes) -> bytes:
    """The last byte of weights is another one."""
    return data[:-1] + bytes([data[-1] ^ 1]) if WEIGHTS in path else data


def cut(path: str, data: bytes) -> bytes:
    return data[:1000] if WEIGHTS in path else data


@pytest.mark.parametrize(
    ("change", "said"),
    [(cut, r"1,000 bytes in place of \d"), (flipped, "its MD5 is not its ETag")],
)
def test_a_file_that_never_comes_out_whole_is_named(
    stored_model: str, proxy: Unreliable, tmp_path: Path, change: Change, said: str
) -> None:
    proxy.change = change
    with pytest.raises(ModelError, match=rf"{WEIGHTS} is damaged \({said}") as error:
        fetched(stored_model, WEIGHTS, tmp_path / "weights", proxy.address)
    assert "\n" not in str(error.value)


def test_the_etag_of_a_file_encrypted_with_a_key_of_ones_own_is_not_taken_for_its_md5(
    stored_model: str, proxy: Unreliable, tiny_model: Path, tmp_path: Path
) -> None:
    import s3fs

    data = (tiny_model / WEIGHTS).read_bytes()
    fs = s3fs.S3FileSystem()
    try:
        fs.pipe_file(f"{stored_model}/{WEIGHTS}", data, ServerSideEncryption="aws:kms")
    except OSError as e:
        pytest.skip(f"the server has no keys to encrypt with: {e}")
    # The server makes every ETag by MD5; one for other bytes stands for that of such a file.
    proxy.change = flipped
    got = fetched(stored_model, WEIGHTS, tmp_path / "weights", proxy.address)
    assert got == flipped(WEIGHTS, data)


def test_weights_that_were_put_there_in_part_are_refused(
    stored_model: str, s3_endpoint: str, tiny_model: Path, tmp_path: Path
) -> None:
    import s3fs

    part = (tiny_model / WEIGHTS).read_bytes()[:-1000]
    s3fs.S3FileSystem().pipe_file(f"{stored_model}/{WEIGHTS}", part)
    with pytest.raises(ModelError, match=rf"{WEIGHTS} is damaged .* put it there again"):
        fetched(stored_model, WEIGHTS, tmp_path / "weights", s3_endpoint)


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
def test_what_is_no_model_is_one_clear_line_without_secrets(s3: str, url: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as error:
        ModelStore(url.format(s3=s3)).listing()
    assert "\n" not in str(error.value)
    assert "pa55word" not in str(error.value)


def test_credentials_that_are_missing_are_asked_for(
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
        ModelStore(stored_model).listing()
