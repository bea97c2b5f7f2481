"""Where an analysis is written to."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence

from styleid_ray.config import JobConfig
from styleid_ray.datasets.pictures import takes
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.store import Store


class Place:
    """The folder or URL of an analysis.

    Args:
        config: a job with the folder as its output.
        names: files that will be written there.

    Raises:
        ConfigError: they would be among the job's own contents or styles.
        OutputError: nothing can be written there.
    """

    def __init__(self, config: JobConfig, names: Sequence[str]) -> None:
        path = local_path(config.output)
        self.folder = (config.output if path is None else absolute(path)).rstrip("/")
        if path is not None and os.path.isfile(absolute(path)):
            raise OutputError(f"--output {shown(config.output)} is a file: name a folder")
        for option in ("content", "style"):
            source = getattr(config, option)
            if source and any(takes(source, f"{self.folder}/{name}") for name in names):
                raise ConfigError(
                    f"--output {shown(config.output)} lies in --{option} {shown(source)}, where "
                    "the figures would be taken for its pictures: name a place outside"
                )
        self._store = Store(self.folder or "/", config.storage_options)
        self._store.work = f".analysis-{uuid.uuid4().hex}"
        self._store.check_writable()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Puts all files in place, each whole."""
        try:
            for name, data in files.items():
                self._store.write(name, data)
        finally:
            if self._store.is_local:
                shutil.rmtree(self._store.path(self._store.work), ignore_errors=True)
