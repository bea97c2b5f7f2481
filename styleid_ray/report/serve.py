"""The page of an unfinished run, served on this machine: `report --watch`."""

import sys
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from styleid_ray.batch.folder.output import Output
from styleid_ray.config import digest
from styleid_ray.errors import ConfigError, JobError, first_line
from styleid_ray.report.write import report_page
from styleid_ray.storage.secrets import scrubbed

_HOST = "127.0.0.1"


def serve_report(output: Output, port: int, sample: int) -> int:
    """Serves the page of a run until Ctrl-C and prints its URL; only reads the run.

    Args:
        output: the run, finished or not.
        port: on 127.0.0.1; 0 takes any free port.
        sample: the most pairs on the page.

    Returns:
        The exit status: 0.

    Raises:
        OutputError: there is no run.
        ConfigError: the port is not free.
    """
    output.existing_record()
    with report_server(output, port, sample) as server:
        print(f"http://{_HOST}:{server.server_port}/ (Ctrl-C stops serving)", file=sys.stderr)
        with suppress(KeyboardInterrupt):  # the run goes on
            server.serve_forever()
    return 0


def report_server(output: Output, port: int, sample: int) -> ThreadingHTTPServer:
    """A server of the page that does not serve yet; arguments and errors as of `serve_report`."""
    handler = partial(_Handler, Page(output, sample))
    try:
        return ThreadingHTTPServer((_HOST, port), handler)
    except (OSError, OverflowError) as e:
        raise ConfigError(
            f"--port {port} cannot be used ({e}): choose another, or 0 for any"
        ) from None


class Page:
    """The page of a run, rebuilt when the run's files have changed. Arguments as of
    `serve_report`."""

    def __init__(self, output: Output, sample: int) -> None:
        self.output, self.sample = output, sample
        self._lock = Lock()
        self._built: tuple[str, bytes] = "", b""

    def version(self) -> str:
        """A digest that changes when shards are committed or remade, a command ends, or the run is
        evaluated."""
        files = [self.output.versions(folder) for folder in ("data", "errors", "evaluation")]
        return digest([files, self.output.summary().get("finished")])

    def read(self) -> bytes:
        """The current page."""
        with self._lock:
            version = self.version()
            if version != self._built[0]:
                page = report_page(self.output, self.sample, version=version)
                self._built = version, page.encode()
            return self._built[1]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, page: Page, *connection: object) -> None:
        self.page = page
        super().__init__(*connection)  # pyright: ignore[reportArgumentType]

    def do_GET(self) -> None:
        answer = self._read()
        with suppress(ConnectionError):  # the browser has gone
            self._send(*answer)

    def _read(self) -> tuple[HTTPStatus, bytes, str]:
        """Status, body and type of the answer."""
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (_HOST, "localhost"):  # DNS rebinding: a foreign name that resolves here
            return HTTPStatus.FORBIDDEN, b"", "text/plain"
        try:
            if self.path == "/":
                return HTTPStatus.OK, self.page.read(), "text/html"
            if self.path == "/version":
                return HTTPStatus.OK, self.page.version().encode(), "text/plain"
            return HTTPStatus.NOT_FOUND, b"", "text/plain"
        except JobError as e:  # a file is damaged, or being replaced
            return HTTPStatus.SERVICE_UNAVAILABLE, str(e).encode(), "text/plain"
        except Exception as e:  # the next request may succeed
            line = scrubbed(
                f"{type(e).__name__}: {first_line(e)}", self.page.output.storage_options
            )
            return HTTPStatus.INTERNAL_SERVER_ERROR, line.encode(), "text/plain"

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: requests need no log."""
