"""A way to a server on which requests go wrong, in an order that a seed fixes."""

from __future__ import annotations

import http.client
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_COUNTED = {None: "passed", "503": "slow down", "before": "dropped", "after": "dropped"}
_OF_THE_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def _as_it_is(path: str, data: bytes) -> bytes:
    return data


@dataclass
class Unreliable:
    """A proxy, and what it has done so far."""

    address: str = ""
    share: float = 0.1
    """Part of the requests that fails."""
    counts: dict[str, int] = field(
        default_factory=lambda: {"passed": 0, "slow down": 0, "dropped": 0}
    )
    gets: list[str] = field(default_factory=list)
    """Paths, with their queries, that GET requests were passed on for."""
    change: Callable[[str, bytes], bytes] = _as_it_is
    """What becomes of the answer to a GET request of a path."""
    failure: Callable[[str, str], str | None] | None = None
    """How a request of a method and a path fails: "503", "before" or "after" the server has done
    what was asked, or not at all. In place of chance."""


class _Proxy(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that was killed is no news
            super().handle_error(request, client_address)


@contextmanager
def unreliable(server: str, share: float = 0.1, seed: int = 0) -> Iterator[Unreliable]:
    """A proxy on loopback before a server: of its requests, a share is answered with 503 SlowDown
    or has its connection dropped, before or after the server has done what was asked."""
    state, lock, chance = Unreliable(share=share), threading.Lock(), random.Random(seed)
    host = urlsplit(server).netloc

    def by_chance(method: str, path: str) -> str | None:
        fails, how = chance.random() < state.share, chance.choice(["503", "before", "after"])
        return how if fails else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self._body()
            with lock:
                how = (state.failure or by_chance)(self.command, self.path)
                state.counts[_COUNTED[how]] += 1
            if how == "503":
                self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
                return
            if how != "before":
                answer = self._ask(body)
                if self.command == "GET":
                    state.gets.append(self.path)
                    answer = *answer[:2], state.change(self.path, answer[2])
            if how is not None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(*answer)  # pyright: ignore[reportPossiblyUnboundVariable]

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(host, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THE_HOP}
            connection.request(self.command, self.path, body or None, headers)
            with connection.getresponse() as answer:
                length = answer.getheader("Content-Length")
                kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _OF_THE_HOP]
                if self.command == "HEAD" and length:
                    kept.append(("Content-Length", length))
                data = answer.read()
            connection.close()
            return answer.status, kept, data

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    proxy = _Proxy(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    state.address = f"http://127.0.0.1:{proxy.server_address[1]}"
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
