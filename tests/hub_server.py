"""The Hugging Face hub on loopback: as much of its HTTP API as publishing a dataset takes.

The real client talks to it. Files that the hub keeps in large-file storage go up in a PUT each,
which `HubServer.uploads` counts; `HubServer.refuse` makes chosen requests fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

TOKEN = "hf_aTokenThatNobodyMaySee"
USER = "someone"
SIGNATURE = "aSignatureThatNobodyMaySee"
"""In the URLs of uploads, as the hub's storage signs them."""
LARGE = (".jpg", ".jpeg", ".png", ".webp", ".parquet", ".tar", ".zip")
"""What a new repository keeps in large-file storage."""

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
_TASKS = (
    "image-classification",
    "object-detection",
    "image-segmentation",
    "keypoint-detection",
    "image-to-text",
    "image-to-image",
)


@dataclass
class Repository:
    """One dataset repository, as its main branch stands."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    """The paths that each commit brought."""

    @property
    def head(self) -> str:
        return hashlib.sha1(repr(self.commits).encode()).hexdigest()

    def oid(self, path: str) -> str | None:
        """Of a large file its SHA-256, of another its hash in git."""
        data = self.files.get(path)
        if data is None:
            return None
        if path.endswith(LARGE):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Refusal:
    """Requests that get an error for an answer."""

    method: str
    path: re.Pattern[str]
    status: int
    message: str
    after: int
    times: int


class HubServer(ThreadingHTTPServer):
    """The hub. Its state is read by tests once the client has returned."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.lock = threading.RLock()
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        """Method and path of each request."""
        self.uploads: list[str] = []
        """SHA-256 of each large file that was received, in order."""
        self.refusals: list[Refusal] = []
        self.held: threading.Event | None = None
        """Every request waits for it, where there is one."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def refuse(
        self,
        method: str,
        path: str,
        status: int,
        message: str = "",
        *,
        after: int = 0,
        times: int = 1,
    ) -> None:
        """Let some requests fail.

        Args:
            method: GET, POST or PUT.
            path: regular expression that is searched for in the path.
            status: HTTP status of the answer.
            message: reason in the answer.
            after: how many such requests are answered as usual before.
            times: how many fail then.
        """
        self.refusals.append(Refusal(method, re.compile(path), status, message, after, times))

    def refusal(self, method: str, path: str) -> Refusal | None:
        for refusal in self.refusals:
            if refusal.method == method and refusal.path.search(path):
                refusal.after -= 1
                if refusal.after < 0 < refusal.times:
                    refusal.times -= 1
                    return refusal
        return None


@contextmanager
def serving() -> Iterator[HubServer]:
    """A new, empty hub."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if server.held is not None:
            server.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def environment(server: HubServer) -> dict[str, str]:
    """Variables that make a new process use this hub and be logged in there."""
    return {
        "HF_ENDPOINT": server.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1"))),
    }


def use(server: HubServer, patch: pytest.MonkeyPatch) -> None:
    """Make this process use this hub, logged in there and nowhere else.

    huggingface_hub reads the endpoint when it is imported: calls need `endpoint=` here, as
    `styleid_ray.datasets.hub` gives it.
    """
    from huggingface_hub import constants

    for name, value in environment(server).items():
        patch.setenv(name, value)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_TOKEN_PATH", os.devnull)
    patch.delenv("HF_OIDC_RESOURCE", raising=False)


class _Error(Exception):
    def __init__(self, status: int, message: str, code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = {"error": message, **more}


class _Answers(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        if self.server.held is not None:
            self.server.held.wait()
        with self.server.lock:
            self.server.requests.append((self.command, path))
            try:
                refusal = self.server.refusal(self.command, path)
                if refusal is not None:
                    raise _Error(refusal.status, refusal.message)
                self._route(path, body)
            except _Error as error:
                code = {"X-Error-Code": error.code} if error.code else {}
                self._json(error.body, error.status, code)

    def _route(self, path: str, body: bytes) -> None:
        large = re.fullmatch(r"/large/([0-9a-f]{64})", path)
        if large and self.command == "PUT":
            return self._upload(large[1], body)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Error(401, "Invalid credentials in Authorization header")
        if path == "/api/whoami-v2":
            return self._json({"type": "user", "name": USER, "orgs": [], "auth": {}})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        batch = re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path)
        if batch:
            self._repository(batch[1])
            return self._batch(json.loads(body)["objects"])
        file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if file:
            return self._file(self._repository(file[1]), file[2])
        call = re.fullmatch(r"/api/datasets/([^/]+/[^/]+?)(?:/([^/]+)(?:/([^/]+)/?(.*))?)?", path)
        if not call:
            raise _Error(404, f"no answer to {path}")
        repository = self._repository(call[1])
        if call[2] in (None, "revision"):
            return self._info(call[1], repository)
        if call[2] == "preupload":
            return self._preupload(repository, json.loads(body)["files"])
        if call[2] == "commit":
            return self._commit(call[1], repository, body)
        if call[2] == "tree":
            return self._tree(repository, call[4] or "", "recursive=true" in self.path.lower())
        if call[2] == "paths-info":
            wanted = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())
            names = wanted if isinstance(wanted, list) else wanted["paths"]
            folders = {place for name in repository.files for place in _parents(name)}
            return self._json(
                [self._entry(repository, n) for n in names if n in {*repository.files, *folders}]
            )
        raise _Error(404, f"no answer to {path}")

    def _repository(self, hub_id: str) -> Repository:
        if hub_id not in self.server.repositories:
            raise _Error(404, "Repository not found", "RepoNotFound")
        return self.server.repositories[hub_id]

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or USER
        hub_id = f"{owner}/{asked['name']}"
        url = f"{self.server.endpoint}/datasets/{hub_id}"
        if owner != USER:
            raise _Error(
                403,
                f'You don\'t have the rights to create a dataset under the namespace "{owner}"',
            )
        if hub_id in self.server.repositories:
            raise _Error(409, "You already created this dataset repo", url=url)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repositories[hub_id] = Repository(private=private)
        self._json({"url": url, "name": hub_id})

    def _validate(self, content: str) -> None:
        errors = _card_errors(content)
        body = {"errors": [{"message": text} for text in errors], "warnings": []}
        self._json(body, 400 if errors else 200)

    def _info(self, hub_id: str, repository: Repository) -> None:
        self._json(
            {
                "id": hub_id,
                "sha": repository.head,
                "private": repository.private,
                "siblings": [{"rfilename": name} for name in sorted(repository.files)],
            }
        )

    def _preupload(self, repository: Repository, files: list[dict[str, Any]]) -> None:
        self._json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                        "oid": repository.oid(file["path"]),
                    }
                    for file in files
                ]
            }
        )

    def _batch(self, objects: list[dict[str, Any]]) -> None:
        answers: list[dict[str, Any]] = []
        for wanted in objects:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.server.objects:
                href = f"{self.server.endpoint}/large/{wanted['oid']}?X-Amz-Signature={SIGNATURE}"
                answer["actions"] = {"upload": {"href": href}}
            answers.append(answer)
        self._json({"transfer": "basic", "objects": answers})

    def _upload(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise _Error(400, "the content does not have this hash")
        self.server.uploads.append(oid)
        self.server.objects[oid] = body
        self._send(200, b"", {"ETag": f'"{oid}"'})

    def _commit(self, hub_id: str, repository: Repository, body: bytes) -> None:
        files = dict(repository.files)
        paths: list[str] = []
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.server.objects:
                    raise _Error(400, f"{value['path']} was not uploaded")
                files[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            if "path" in value:
                paths.append(value["path"])
        repository.files = files
        repository.commits.append(paths)
        url = f"{self.server.endpoint}/datasets/{hub_id}/commit/{repository.head}"
        self._json({"success": True, "commitOid": repository.head, "commitUrl": url})

    def _tree(self, repository: Repository, folder: str, recursive: bool) -> None:
        prefix = f"{folder}/" if folder else ""
        names = {
            place
            for name in repository.files
            for place in (name, *_parents(name))
            if place.startswith(prefix) and (recursive or "/" not in place[len(prefix) :])
        }
        if folder and not names:
            raise _Error(404, "Entry not found", "EntryNotFound")
        self._json([self._entry(repository, name) for name in sorted(names)])

    def _entry(self, repository: Repository, name: str) -> dict[str, Any]:
        if name not in repository.files:
            return {"type": "directory", "path": name, "size": 0, "oid": repository.head}
        oid, size = repository.oid(name), len(repository.files[name])
        entry = {"type": "file", "path": name, "size": size, "oid": oid}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
        return entry

    def _file(self, repository: Repository, name: str) -> None:
        if name not in repository.files:
            raise _Error(404, "Entry not found", "EntryNotFound")
        headers = {"ETag": f'"{repository.oid(name)}"', "X-Repo-Commit": repository.head}
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        part = slice(int(span[1]), int(span[2]) + 1) if span else slice(None)
        self._send(206 if span else 200, repository.files[name][part], headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self._send(status, json.dumps(body).encode(), {**kind, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _parents(name: str) -> list[str]:
    """The folders that a file lies in."""
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _card_errors(content: str) -> list[str]:
    """What the hub would not accept in a card's front matter."""
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        return [f"the front matter is no YAML: {error}"]
    if not isinstance(data, dict):
        return ["the front matter is missing"]
    errors = []
    if not re.fullmatch(r"[a-z0-9.\-]+", str(data.get("license"))):
        errors.append('"license" must be an identifier')
    if set(data.get("size_categories", ())) - set(_SIZES):
        errors.append('"size_categories" has an unknown value')
    if set(data.get("task_categories", ())) - set(_TASKS):
        errors.append('"task_categories" has an unknown value')
    if not all(isinstance(tag, str) for tag in data.get("tags", ())):
        errors.append('"tags" must be texts')
    names = [config["config_name"] for config in data.get("configs", ())]
    if len(set(names)) != len(names):
        errors.append('"config_name" must be unique')
    return errors
