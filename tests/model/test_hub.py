"""Hub models, against a server on loopback that answers as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import find_checkpoint
from tests.families import save_sdxl

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One model, `someone/model`, at one commit. `asked` collects the files that were fetched,
    `requests` counts all requests."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.folder = folder
        self.asked: list[str] = []
        self.requests = 0


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests += 1
        path = self.path.partition("?")[0]
        files = [p for p in self.server.folder.rglob("*") if p.is_file()]
        names = {p.relative_to(self.server.folder).as_posix(): p for p in files}
        if path == f"/api/models/someone/model/tree/{COMMIT}":
            tree = [
                {"type": "file", "path": name, "size": p.stat().st_size, "oid": name}
                for name, p in names.items()
            ]
            return self._send(200, json.dumps(tree).encode(), {})
        if path.startswith("/api/models/someone/model"):
            revision = path.partition("/revision/")[2] or "main"
            if revision not in ("main", "v1", COMMIT):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            info = {"id": "someone/model", "sha": COMMIT}
            info["siblings"] = [{"rfilename": name} for name in names]  # pyright: ignore
            return self._send(200, json.dumps(info).encode(), {})
        prefix = f"/someone/model/resolve/{COMMIT}/"
        if path.startswith(prefix) and path[len(prefix) :] in names:
            if self.command == "GET":
                self.server.asked.append(path[len(prefix) :])
            data = names[path[len(prefix) :]].read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            return self._send(200, data, {"X-Repo-Commit": COMMIT, "ETag": tag})
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path) -> Iterator[Hub]:
    server = Hub(tiny_model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(hub: Hub, cache: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Code in a fresh interpreter, whose hub is the one on loopback."""
    env = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    env |= {"HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


LOAD = """
from styleid_ray import StyleIDPipeline
from styleid_ray.model.checkpoint import find_checkpoint
found = find_checkpoint("someone/model", {revision!r})
print(found.revision, found.factor, found.fingerprint)
print(StyleIDPipeline.from_pretrained("someone/model", {revision!r}).unet.dtype)
"""


def test_a_hub_model_is_pinned_to_its_commit_and_only_safetensors_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    weights = hub.folder / "unet" / "diffusion_pytorch_model.safetensors"
    for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"):
        weights.with_name(name).write_bytes(b"not to be fetched")
    try:
        done = run(hub, tmp_path, LOAD.format(revision="v1"))
    finally:
        for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"):
            weights.with_name(name).unlink()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == [COMMIT, "64"]
    assert "torch.float32" in done.stdout
    assert "unet/diffusion_pytorch_model.safetensors" in hub.asked
    assert not [name for name in hub.asked if name.endswith(".bin") or "fp16" in name]
    assert len(hub.asked) == len(set(hub.asked)), "a file was fetched twice"


def test_a_fetched_model_loads_again_when_the_hub_is_out_of_reach(hub: Hub, tmp_path: Path) -> None:
    first = run(hub, tmp_path, LOAD.format(revision=None))
    assert first.returncode == 0, first.stderr
    hub.shutdown()
    hub.server_close()
    again = run(hub, tmp_path, LOAD.format(revision=None))
    assert again.stdout == first.stdout, again.stderr
    assert f"someone/model is taken from the local cache, at commit {COMMIT}" in again.stderr


def test_a_commit_that_is_cached_loads_without_a_request(hub: Hub, tmp_path: Path) -> None:
    first = run(hub, tmp_path, LOAD.format(revision=COMMIT))
    assert first.returncode == 0, first.stderr
    before = hub.requests
    again = run(hub, tmp_path, LOAD.format(revision=COMMIT))
    assert again.stdout == first.stdout, again.stderr
    assert hub.requests == before > 0


def test_a_commit_that_is_cached_in_part_is_completed(hub: Hub, tmp_path: Path) -> None:
    lost = {"vae/diffusion_pytorch_model.safetensors", "unet/config.json"}
    first = run(hub, tmp_path, LOAD.format(revision=COMMIT))
    assert first.returncode == 0, first.stderr
    (snapshot,) = tmp_path.glob(f"hub/models--someone--model/snapshots/{COMMIT}")
    for name in lost:
        (snapshot / name).resolve().unlink()
        (snapshot / name).unlink()
    hub.asked.clear()
    again = run(hub, tmp_path, LOAD.format(revision=COMMIT))
    assert again.stdout == first.stdout, again.stderr
    assert set(hub.asked) == lost


def test_a_cached_sdxl_without_its_index_is_an_error_and_not_another_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--xl"
    folder = save_sdxl(cached / "snapshots" / COMMIT, zeros=False)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    assert not find_checkpoint("someone/xl").zero_prompt
    (folder / "model_index.json").unlink()
    for revision in (None, COMMIT):
        with pytest.raises(ModelError, match=r"model_index\.json is missing.*: download it again"):
            find_checkpoint("someone/xl", revision)
    assert find_checkpoint(str(folder)).zero_prompt, "as where the index says nothing"


@pytest.mark.parametrize(
    ("model", "revision", "said"),
    [
        ("someone/model", "v9", "no revision 'v9': name one of its branches"),
        ("someone/other", None, "neither a local folder nor a model on the hub"),
    ],
)
def test_what_the_hub_does_not_have_is_one_clear_line(
    hub: Hub, tmp_path: Path, model: str, revision: str | None, said: str
) -> None:
    code = f"""
from styleid_ray.model.checkpoint import find_checkpoint
from styleid_ray.errors import ModelError
try:
    find_checkpoint({model!r}, {revision!r})
except ModelError as e:
    print(e)
"""
    done = run(hub, tmp_path, code)
    assert said in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
