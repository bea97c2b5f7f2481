"""The folder or URL of a preview or an analysis."""

import os
from collections.abc import Mapping, Sequence

from styleid_ray.config import JobConfig
from styleid_ray.datasets.pictures import takes
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.store import Store

_NAME = "preview"
_OTHER = (".jpg", ".jpeg", ".webp", ".html")


class Place:
    """A folder or URL, as `folder_of` returns it, for a few files with these names.

    Raises:
        ConfigError: the files would be among the job's own contents or styles.
        OutputError: nothing can be written there.
    """

    def __init__(self, config: JobConfig, folder: str, names: Sequence[str]) -> None:
        self.folder = folder
        if local_path(folder) is not None and os.path.isfile(folder):
            raise OutputError(
                f"--output {shown(config.output)}: {shown(folder)} is a file: name another folder"
            )
        for option in ("content", "style"):
            source = getattr(config, option)
            if source and any(takes(source, f"{folder}/{name}") for name in names):
                raise ConfigError(
                    f"--output {shown(config.output)} lies inside --{option} {shown(source)}, so a "
                    f"rerun would read its pictures as {option}s: choose a folder outside"
                )
        self._store = Store(folder or "/", config.storage_options)
        self._store.temporary = f".{_NAME}-"
        self._store.check_writable()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Puts all files in place, each whole."""
        for name, data in files.items():
            self._store.write(name, data)


def folder_of(output: str) -> str:
    """An absolute path, or a URL, without the slash at its end."""
    path = local_path(output)
    return (output if path is None else absolute(path)).rstrip("/")


def as_given(output: str, name: str) -> str:
    """The location of a file in the folder or URL `output`, which stays as the user wrote it."""
    return f"{output.rstrip('/')}/{name}"


def split_output(output: str) -> tuple[str, str]:
    """The folder of a preview, and the common name of its grid and page.

    Args:
        output: a file that ends in .png, or a folder.

    Raises:
        OutputError: it is a file of another kind.
    """
    url = folder_of(output)
    folder, _, file = url.rpartition("/")
    if output.endswith("/"):
        return url, _NAME
    if file.lower().endswith(".png") and file[:-4]:
        return folder, file[:-4]
    if file.lower().endswith(_OTHER):
        raise OutputError(f"--output {shown(output)}: name a file that ends in .png, or a folder")
    return url, _NAME
