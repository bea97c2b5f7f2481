"""Where a preview is written to."""

from __future__ import annotations

import shutil
import uuid

from styleid_ray.config import JobConfig
from styleid_ray.datasets.pictures import takes
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.store import Store

_NAME = "preview"
_OTHER = (".jpg", ".jpeg", ".webp", ".html")


class Place:
    """A folder or URL, and the name that grid and page share in it.

    Args:
        config: a job whose output is a file that ends in .png, or a folder.

    Raises:
        ConfigError: the grid would be one of the job's own contents or styles.
        OutputError: nothing can be written there.
    """

    def __init__(self, config: JobConfig) -> None:
        self.folder, self.name = _split(config.output)
        for option in ("content", "style"):
            source = getattr(config, option)
            if source and takes(source, self.picture):
                raise ConfigError(
                    f"--output {shown(config.output)} lies in --{option} {shown(source)}, where "
                    "the grid would be taken for one of its pictures: name a place outside"
                )
        self._store = Store(self.folder or "/", config.storage_options)
        self._store.work = f".{_NAME}-{uuid.uuid4().hex}"
        self._store.check_writable()

    @property
    def picture(self) -> str:
        """Path or URL of the grid."""
        return f"{self.folder}/{self.name}.png"

    @property
    def page(self) -> str:
        """Path or URL of the page."""
        return f"{self.folder}/{self.name}.html"

    def write(self, picture: bytes, page: str) -> None:
        """Puts both files in place, each whole."""
        try:
            self._store.write(f"{self.name}.png", picture)
            self._store.write(f"{self.name}.html", page.encode())
        finally:
            if self._store.is_local:
                shutil.rmtree(self._store.path(self._store.work), ignore_errors=True)


def _split(output: str) -> tuple[str, str]:
    path = local_path(output)
    url = (output if path is None else absolute(path)).rstrip("/")
    folder, _, file = url.rpartition("/")
    if output.endswith("/"):
        return url, _NAME
    if file.lower().endswith(".png") and file[:-4]:
        return folder, file[:-4]
    if file.lower().endswith(_OTHER):
        raise OutputError(f"--output {shown(output)}: name a file that ends in .png, or a folder")
    return url, _NAME
