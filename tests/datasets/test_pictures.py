"""Pictures are found wherever they lie, under whatever name."""

from __future__ import annotations

import os
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from styleid_ray.datasets.pictures import list_pictures, takes
from styleid_ray.datasets.source import skipped_line
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage import listing
from styleid_ray.storage.fetch import fetch, read_bytes
from tests.planning.conftest import picture_bytes
from tests.unreliable import unreliable

HOSTILE = [
    "a b.png",
    "quote'\".png",
    "new\nline.png",
    "hash#1.png",
    "question?x=1.png",
    "percent%20.png",
    "[brackets].png",
    "star*.png",
    "{brace}.png",
    "dots...png",
    "x..y/z.png",
    "colon::b.png",
    "memory:x.png",
    "émoji-🎨/🖼️.png",
    "back\\slash.png",
    "-dash.png",
    "long" * 50 + ".png",
    "Case.png",
    "case.png",
    "same/stem.png",
    "other/stem.png",
]


def test_folders_are_walked_and_keys_are_sorted_paths_below_the_root(folder):
    root = folder("in", ["b.png", "a/z.JPG", "a/b/c.webp", "B.tiff"])
    source = list_pictures(str(root), "content")
    assert source.root == str(root)
    assert source.keys == ("B.tiff", "a/b/c.webp", "a/z.JPG", "b.png")
    assert source.url("a/z.JPG") == str(root / "a/z.JPG")
    assert list_pictures(f"file://{root}/", "content").keys == source.keys


def test_other_files_and_hidden_ones_are_left_out_and_the_others_counted(folder):
    root = folder(
        "in", ["a.png", "b.txt", "c.pdf", ".hidden.png", ".git/d.png", "__MACOSX/a.png", "e"]
    )
    source = list_pictures(str(root), "content")
    assert source.keys == ("a.png",)
    assert source.skipped == {".txt": 1, ".pdf": 1, "without an extension": 1}


def test_files_of_other_kinds_are_one_line_of_counts(folder):
    photos = folder("in", ["a.png", *(f"IMG_{i}.HEIC" for i in range(4)), "notes\n.t\nxt"])
    style = list_pictures(str(folder("style", ["s.png"])), "style")
    content = list_pictures(str(photos), "content")
    assert skipped_line(content, style) == (
        "skipped 5 files that are not readable pictures (4 .heic, 1 .t\\nxt)"
    )
    assert skipped_line(content, content) == skipped_line(content)
    assert skipped_line(style) is None
    many = list_pictures(str(folder("many", ["a.png", *(f"b.x{i}" for i in range(9))])), "content")
    assert str(skipped_line(many)).endswith(", 4 others)")


def test_keys_with_dot_segments_are_counted_as_left_out(bucket):
    url = bucket(["in/a.png", "in/.hidden/b.png"])
    import s3fs

    store = s3fs.S3FileSystem()
    for key in ("in/x/../b.png", "in/./c.png"):
        store.call_s3("put_object", Bucket=url.removeprefix("s3://"), Key=key, Body=b"x")
    source = list_pictures(f"{url}/in", "content")
    assert source.keys == ("a.png",)
    assert skipped_line(source) == "skipped 2 with '.' or '..' in the key"


def test_a_listing_has_the_same_version_as_a_read_picture(folder, bucket):
    root, url = folder("in", ["a.png", "b/c.png"]), bucket(["in/a.png", "in/b/c.png"])
    for place in (str(root), f"{url}/in", f"{root}/a.png", f"{url}/in/a.png", f"{url}/in/*.png"):
        source = list_pictures(place, "content")
        read = tuple(fetch(source.url(key)).version for key in source.keys)
        assert source.versions == read
        assert all(version.startswith(f"{len(picture_bytes())}:") for version in read)
    before = list_pictures(str(root), "content").versions
    (root / "a.png").write_bytes(b"another picture")
    after = list_pictures(str(root), "content").versions
    assert [old == new for old, new in zip(before or (), after or (), strict=True)] == [False, True]


def test_a_dangling_link_has_no_version(folder):
    root = folder("in", ["a.png"])
    (root / "b.png").symlink_to(root / "none.png")
    source = list_pictures(str(root), "content")
    assert source.keys == ("a.png", "b.png")
    assert source.versions is not None
    assert source.versions[1] == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_listed_and_read(folder, name):
    root = folder("in", [name])
    source = list_pictures(str(root), "content")
    assert source.keys == (name,)
    assert read_bytes(source.url(name)) == (root / name).read_bytes()


def test_a_folder_with_brackets_in_its_name_is_not_a_pattern(folder):
    root = folder("photos [2020]*", ["a.png"])
    assert list_pictures(str(root), "content").keys == ("a.png",)
    assert list_pictures(str(root / "a.png"), "content").keys == ("a.png",)


def test_patterns_take_what_matches_and_walk_folders_that_do(folder):
    root = folder("in", ["a.png", "b.jpg", "x1/a.png", "x1/y/b.png", "x2/a.png", "z/a.png"])
    assert list_pictures(f"{root}/*.png", "content").keys == ("a.png",)
    assert list_pictures(f"{root}/x*", "content").keys == ("x1/a.png", "x1/y/b.png", "x2/a.png")
    assert list_pictures(f"{root}/**/b.*", "content").keys == ("b.jpg", "x1/y/b.png")
    assert list_pictures(f"{root}/x[12]/a.png", "content").keys == ("x1/a.png", "x2/a.png")


def test_a_single_file_is_a_source_of_one(folder):
    source = list_pictures(str(folder("in", ["a.png", "b.png"]) / "b.png"), "style")
    assert source.keys == ("b.png",)


def test_a_relative_path_means_the_same_in_every_working_directory(folder, monkeypatch, tmp_path):
    root = folder("in", ["a.png"])
    monkeypatch.chdir(tmp_path)
    assert list_pictures("in", "content").root == str(root)


def test_folders_named_like_pictures_are_walked_and_links_cannot_loop(folder):
    root = folder("in", ["x.png/a.png", "real/b.png"])
    (root / "loop").symlink_to(root)
    (root / "alias").symlink_to(root / "real")
    (root / "self.png").symlink_to(root / "self.png")
    (root / "real" / "up").symlink_to(root / "x.png")
    assert list_pictures(str(root), "content").keys == ("real/b.png", "self.png", "x.png/a.png")


def test_a_linked_folder_elsewhere_is_followed(folder):
    root, other = folder("in", ["a.png"]), folder("other", ["b.png"])
    (root / "link").symlink_to(other)
    assert list_pictures(str(root), "content").keys == ("a.png", "link/b.png")


def test_pipes_are_neither_listed_nor_waited_for(folder):
    root = folder("in", ["a.png"])
    os.mkfifo(root / "pipe.png")
    assert list_pictures(str(root), "content").keys == ("a.png",)
    with pytest.raises(RowError, match="pipe"):
        read_bytes(str(root / "pipe.png"))


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(SourceError, match=r"udcff.*UTF-8"):
        list_pictures(str(tmp_path), "content")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_an_error(folder):
    root = folder("in", ["a.png", "locked/b.png"])
    (root / "locked").chmod(0)
    with pytest.raises(SourceError, match="locked"):
        list_pictures(str(root), "content")


@pytest.mark.parametrize("what", ["content", "style"])
def test_a_missing_location_names_the_option(tmp_path, what):
    for url in (str(tmp_path / "none"), str(tmp_path / "none" / "*.png"), "memory://none"):
        with pytest.raises(SourceError, match=f"--{what}: .*none.*does not exist"):
            list_pictures(url, what)


def test_an_empty_source_names_the_kinds_of_its_files(folder, tmp_path):
    root = folder("in", ["a.txt", "b.TXT", "c.pdf", "README"])
    with pytest.raises(SourceError, match=r"4 files, but no pictures \(\.txt, without an ext"):
        list_pictures(str(root), "content")
    with pytest.raises(SourceError, match=r"--content: .*a\.txt is not a picture; name a folder"):
        list_pictures(str(root / "a.txt"), "content")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no files"):
        list_pictures(str(tmp_path / "empty"), "content")


def test_a_missing_package_is_named(monkeypatch):
    def missing(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(SourceError, match=r"--content: s3:// needs a package.*s3fs"):
        list_pictures("s3://bucket/in", "content")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(SourceError, match="--style: nope://x cannot be opened"):
        list_pictures("nope://x", "style")


def test_any_fsspec_filesystem_works():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/shelf/a.png": b"1", "/shelf/b/c.png": b"2", "/shelf/d.txt": b"3"})
    source = list_pictures("memory://shelf", "content")
    assert source.keys == ("a.png", "b/c.png")
    assert read_bytes(source.url("b/c.png")) == b"2"
    assert list_pictures("memory://shelf/*/c*", "content").keys == ("b/c.png",)
    single = list_pictures("memory://shelf/a.png", "content")
    assert read_bytes(single.url(single.keys[0])) == b"1"


def test_pictures_inside_an_archive_are_read_by_a_chained_url(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a/b.png", b"1")
        archive.writestr("c.png", b"2")
    for url in (f"zip://::{tmp_path}/in.zip", f"zip://::file://{tmp_path}/in.zip"):
        source = list_pictures(url, "content")
        assert source.keys == ("a/b.png", "c.png")
        assert [read_bytes(source.url(key)) for key in source.keys] == [b"1", b"2"]
    assert list_pictures(f"zip://a::{tmp_path}/in.zip", "content").keys == ("b.png",)
    assert list_pictures(f"zip://c*::{tmp_path}/in.zip", "content").keys == ("c.png",)


def test_buckets_are_listed_and_read(bucket):
    hostile = [name for name in HOSTILE if "\n" not in name]
    url = bucket(["in/a.png", "in/b/c.JPG", "in/d.txt", "in/.e/f.png", "input/no.png"])
    bucket([f"hostile/{name}" for name in hostile])
    source = list_pictures(f"{url}/in", "content")
    assert source.keys == ("a.png", "b/c.JPG")
    assert source.url("a.png") == f"{url}/in/a.png"
    assert list_pictures(f"{url}/in/", "content").keys == source.keys
    assert list_pictures(f"{url}/in/a.png", "content").keys == ("a.png",)
    assert list_pictures(f"{url}/in/*/c*", "content").keys == ("b/c.JPG",)
    nasty = list_pictures(f"{url}/hostile", "content")
    assert nasty.keys == tuple(sorted(hostile))
    for key in nasty.keys:
        assert read_bytes(nasty.url(key)).startswith(b"\x89PNG"), key


def test_a_bucket_can_be_reached_by_storage_options_alone(bucket, s3_endpoint, monkeypatch):
    url = bucket(["in/a.png"])
    options = {"endpoint_url": s3_endpoint}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        options["key" if name.endswith("ID") else "secret"] = os.environ[name]
        monkeypatch.delenv(name)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    source = list_pictures(f"{url}/in", "content", options)
    assert read_bytes(source.url("a.png"), source.storage_options).startswith(b"\x89PNG")
    assert options["secret"] not in repr(source)


def test_a_key_of_a_bucket_cannot_become_a_local_path(bucket, folder):
    url = bucket(["in//etc/passwd.png"])
    source = list_pictures(f"{url}/in", "content")
    assert all(source.url(key).startswith(f"{url}/in") for key in source.keys)


def test_a_location_missing_in_a_bucket_is_an_error(bucket):
    url = bucket(["in/a.png"])
    with pytest.raises(SourceError, match="does not exist"):
        list_pictures(f"{url}/none", "content")
    with pytest.raises(SourceError, match="--content"):
        list_pictures("s3://no-such-bucket-anywhere/in", "content")
    with pytest.raises(RowError, match="does not exist") as caught:
        read_bytes(f"{url}/in/none.png")
    assert caught.value.stage == "fetch"


def test_the_formats_listed_are_those_that_can_be_decoded():
    assert {".jpg", ".png", ".webp", ".tif", ".gif", ".bmp", ".avif"} <= picture_extensions()
    assert not {".pdf", ".eps", ".mpg", ".h5", ".wmf"} & picture_extensions()


@pytest.fixture
def web(folder):
    """A plain web server for a folder, on loopback: the folder and its URL."""
    root = folder("web", ["in/a b.png", "in/b/c.jpg", "in/d.txt"])

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_pictures_on_the_web_are_listed_and_read(web):
    root, url = web
    source = list_pictures(f"{url}/in/", "content")
    assert source.keys == ("a%20b.png", "b/c.jpg")
    assert read_bytes(source.url("a%20b.png")) == (root / "in" / "a b.png").read_bytes()
    signed = list_pictures(f"{url}/in/b/c.jpg?X-Amz-Credential=a/b&X-Amz-Signature=x", "content")
    assert signed.keys == ("c.jpg",)
    assert signed.url("c.jpg").endswith("c.jpg?X-Amz-Credential=a/b&X-Amz-Signature=x")
    assert "Signature" not in repr(signed)
    assert read_bytes(signed.url(signed.keys[0])) == (root / "in/b/c.jpg").read_bytes()
    with pytest.raises(SourceError, match=r"d\.txt\?\.\.\. is not a picture") as caught:
        list_pictures(f"{url}/in/d.txt?signature=planted", "content")
    assert "planted" not in str(caught.value)
    with pytest.raises(RowError, match="does not exist"):
        read_bytes(f"{url}/none.png")


def test_a_failing_web_server_is_not_taken_for_empty(web):
    _, url = web
    with unreliable(url, share=1) as proxy:
        for place in ("in/", "in/b/c.jpg"):
            with pytest.raises(SourceError, match="--content: cannot list http"):
                list_pictures(f"{proxy.address}/{place}", "content")
    with pytest.raises(SourceError, match="does not exist"):
        list_pictures(f"{url}/in/none.jpg", "content")


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(folder):
    class CutOff(LocalFileSystem):
        """A disk behind a line that breaks."""

        protocol = "cutoff"

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("cutoff://"))

        def ls(self, path, detail=False, **kwargs):
            if path.endswith("/b"):
                raise ConnectionResetError("line broke")
            return super().ls(path, detail, **kwargs)

    fsspec.register_implementation("cutoff", CutOff, clobber=True)
    root = folder("in", ["a.png", "c/d.png"])
    assert list_pictures(f"cutoff://{root}", "content").keys == ("a.png", "c/d.png")
    folder("in", ["b/x.png"])
    with pytest.raises(SourceError, match=r"--content: cannot list .*line broke"):
        list_pictures(f"cutoff://{root}", "content")


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("{}", True),
        ("file://{}/", True),
        ("{}/*.png", False),
        ("{}/**/*.png", True),
        ("{}/**/*.jpg", False),
        ("{}/o*", True),
        ("{}/a.png", False),
        ("{}/ou", False),
        ("{}/link", True),
        ("s3://bucket/in", False),
    ],
)
def test_a_new_picture_is_known_to_match_a_source_before_it_exists(folder, url, taken):
    root = folder("in", ["a.png"])
    (root / "link").symlink_to(root)
    assert takes(url.format(root), f"{root}/out/images/x.png") == taken


def test_a_new_picture_is_known_to_match_a_bucket_before_it_exists():
    assert takes("s3://bucket/in/", "s3://bucket/in/out/images/x.png")
    assert not takes("s3://bucket/in", "s3://bucket/input/images/x.png")


def test_a_bucket_of_more_than_one_page_is_listed_whole(s3, monkeypatch):
    import s3fs

    monkeypatch.setattr(listing, "_PAGE", 10)
    files = [f"in/{n % 7}/{n:04d}.png" for n in range(40)]
    s3fs.S3FileSystem().pipe({f"{s3}/{file}": b"x" for file in [*files, "in/.hidden/x.png"]})
    assert list_pictures(f"{s3}/in", "content").keys == tuple(sorted(f[3:] for f in files))
