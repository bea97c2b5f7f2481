"""Passwords and signatures are no part of a picture's name."""

from __future__ import annotations

import pickle
from pathlib import Path
from zipfile import ZipFile

import pytest

from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import open_filesystem, options_for
from styleid_ray.storage.secrets import FullURLs, scrubbed, without_secrets

AWS = "X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA/us/s3&X-Amz-Date=1&X-Amz-Signature=abc"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"https://host/a.png?{AWS}", "https://host/a.png"),
        (f"https://host/a.png?versionId=7&{AWS}", "https://host/a.png?versionId=7"),
        ("https://host/a.png?Expires=1&Signature=x&Key-Pair-Id=K", "https://host/a.png"),
        ("https://host/a.png?GoogleAccessId=me&Expires=1&Signature=x", "https://host/a.png"),
        ("https://host/a.png?sv=2020&se=2027&sr=b&sp=r&sig=x", "https://host/a.png"),
        ("https://host/show?id=5&access_token=x", "https://host/show?id=5"),
        ("https://me:pw@host/a.png", "https://host/a.png"),
        ("https://token@host/a.png", "https://host/a.png"),
        ("ftp://me:pw@host/a.png", "ftp://host/a.png"),
        ("zip://in/a.png::https://me:pw@host/x.zip?sig=1", "zip://in/a.png::https://host/x.zip"),
        # None of these is a secret.
        ("https://host/show?id=5&design=2&author=me", "https://host/show?id=5&design=2&author=me"),
        ("https://host/a.png?sp=7", "https://host/a.png?sp=7"),
        ("s3://bucket/why?sig=1@home.png", "s3://bucket/why?sig=1@home.png"),
        ("abfs://box@account.net/a.png", "abfs://box@account.net/a.png"),
        ("/photos/a?sig=1.png", "/photos/a?sig=1.png"),
    ],
)
def test_a_key_has_no_password_and_no_signature_but_all_that_names_the_picture(
    url: str, key: str
) -> None:
    assert without_secrets(url) == key


def test_full_urls_are_found_by_key_also_on_another_machine() -> None:
    urls = [f"https://host/{n}.png?sig={n}" for n in range(100)] + ["https://host/plain.png"]
    full = FullURLs.of(urls)
    assert full is not None
    there = pickle.loads(pickle.dumps(full))
    assert there.get("https://host/42.png") == "https://host/42.png?sig=42"
    assert there.get("https://host/plain.png") is None
    assert FullURLs.of(["https://host/plain.png"]) is None


def test_one_picture_signed_twice_is_one_and_two_tokens_are_refused() -> None:
    full = FullURLs.of([f"https://host/a.png?Expires={n}&Signature={n}" for n in range(2)])
    assert full is not None
    assert full.get("https://host/a.png") == "https://host/a.png?Expires=1&Signature=1"
    with pytest.raises(SourceError, match="differ only in a password or token") as caught:
        FullURLs.of(["https://host/a.png?key=first", "https://host/a.png?key=second"])
    assert "first" not in str(caught.value)


def test_the_values_of_storage_options_are_taken_out_of_messages() -> None:
    options = {
        "key": "AKIA1234",
        "s3": {"secret": "hidden-one", "headers": [["X-Auth", "hidden-two"]]},
        "endpoint_url": "http://host",
    }
    said = scrubbed("AKIA1234 with hidden-one, hidden-two is unknown at http://host", options)
    assert said == "... with ..., ... is unknown at http://host"


def test_storage_options_reach_the_protocols_that_they_are_for() -> None:
    flat = {"key": "k"}
    assert options_for("s3", flat) == {"key": "k"}
    assert options_for("file", flat) == options_for("zip", flat) == {}
    both = {"s3": {"key": "k"}, "https": {"client_kwargs": {}}}
    assert options_for("s3", both) == {"key": "k"}
    assert options_for("gs", both) == {}


def test_an_archive_on_a_disk_is_opened_without_the_options_of_a_store(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"picture")
    options = {"key": "k", "secret": "s"}
    filesystem, path = open_filesystem(f"zip://a.png::file://{tmp_path}/x.zip", options)
    assert filesystem.cat_file(path) == b"picture"
