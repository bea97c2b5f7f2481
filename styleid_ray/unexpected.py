"""An unexpected error: one line for the user, the traceback in a file."""

import json
import os
import re
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from styleid_ray.config import JobConfig
from styleid_ray.errors import first_line
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import scrubbed
from styleid_ray.storage.store import Store

_SECRET = re.compile(r"(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


def unexpected(error: Exception) -> str:
    """Writes the traceback to a temporary file; returns the line that names it. Neither holds
    passwords, signatures of URLs, or values of storage options."""
    secrets = [*_storage_options(error), {n: v for n, v in os.environ.items() if _SECRET.search(n)}]

    def clean(line: str) -> str:
        for options in secrets:
            line = scrubbed(line, options)
        return shown(line)

    lines = "".join(traceback.format_exception(error)).splitlines()
    message = clean(first_line(error))
    line = f"unexpected {type(error).__name__} ({message[:300]})"
    prefix = time.strftime(f"styleid-ray-%Y%m%d-%H%M%S-{os.getpid()}-")
    try:
        descriptor, path = tempfile.mkstemp(".log", prefix)
        with open(descriptor, "w", errors="backslashreplace") as file:
            file.writelines(f"{clean(one)}\n" for one in lines)
    except OSError as e:
        return f"{line}; its traceback cannot be written ({e}): make room for temporary files"
    return f"{line}: this is a defect, please report it with the traceback in {path}"


def _storage_options(error: BaseException | None) -> Iterator[Any]:
    """Storage options in the frames of an error and of the errors that caused it."""
    known = set()
    while error and id(error) not in known:
        known.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            for name, value in frame.f_locals.items():
                if isinstance(value, (JobConfig, Store)):
                    yield value.storage_options
                elif name == "storage_options" and isinstance(value, str):  # JSON
                    with suppress(ValueError):
                        yield json.loads(value)
        error = error.__cause__ or error.__context__
