"""The place that an export is written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store

MARKER = ".export.json"
"""Its presence says that the export is complete."""
PARTS = ".export/parts"


class ExportStore(Store):
    """The files of an export. What is needed while it is written lies in `.export`, which is
    removed at the end: a trainer may take every folder for a class."""

    work = ".export"
    option = "to"

    def marker(self) -> dict[str, Any] | None:
        """What a complete export says of itself; None where there is none."""
        try:
            return json.loads(self.read(MARKER))
        except FileNotFoundError:
            return None

    def parts(self) -> set[str]:
        """Names of the parts that are written."""
        return {name.rsplit("/", 1)[-1] for name in self.listed(PARTS)}

    def check_free(self) -> None:
        """Raises ConfigError where something else than an export lies here."""
        there = self.names("")
        if not there or MARKER in there or self.work in there:
            return
        raise ConfigError(
            f"--to {shown(self.url)} is not empty, and no export ({shown(min(there))} is there): "
            "name a folder that is empty or does not exist"
        )

    def names(self, folder: str) -> set[str]:
        """Names of all files and folders in a folder; none when it does not exist."""
        self.fs.invalidate_cache()
        path = self.path(folder).rstrip("/")
        try:
            listed = self.fs.ls(path, detail=False)
        except FileNotFoundError:
            return set()
        return {one.rstrip("/").rsplit("/", 1)[-1] for one in listed} - {""}

    def finish(self, marker: dict[str, Any]) -> None:
        """Marks the export as complete and removes what it needed."""
        self.write(MARKER, json.dumps(marker, indent=2, ensure_ascii=False).encode())
        if self.fs.exists(self.path(self.work)):
            self.fs.rm(self.path(self.work), recursive=True)

    def read_parts(self, names: list[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The parts in the order of their names: what was counted, and the writer's bytes."""
        for name in names:
            head, _, body = self.read(f"{PARTS}/{name}").partition(b"\n")
            yield json.loads(head), body
