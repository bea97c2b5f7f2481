"""The place that an export is written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store

MARKER = ".export.json"
"""Its presence says that the export is complete."""
PARTS, HOW, ABSENT = ".export/parts", ".export/how.json", ".export/absent.json"


class ExportStore(Store):
    """The files of an export. What is needed while it is written lies in `.export`, which is
    removed at the end: a trainer may take every folder for a class."""

    work = ".export"
    option = "to"

    def check(self, how: dict[str, Any]) -> None:
        """Checks that an export that is made in this way can be written here, or goes on here.

        Raises:
            ConfigError: something else lies here, or an export that was made otherwise.
            OutputError: nothing can be written.
        """
        self.check_reachable()
        names = self.names("")
        existing = {name for name in names if not name.startswith(".")}
        begun = MARKER in names or (self.work in names and self.exists(HOW))
        if existing and not begun:
            raise ConfigError(
                f"--to {shown(self.url)} is not empty, and no export ({shown(min(existing))} is "
                "there): name a folder that is empty or does not exist"
            )
        before = self._read(MARKER).get("how") or self._read(HOW) or how
        differing = [
            f"{name}: {before.get(name)} there, {value} now"
            for name, value in ({**dict.fromkeys(before), **how}).items()
            if before.get(name) != value
        ]
        if differing:
            raise ConfigError(
                f"--to {shown(self.url)} holds an export that was made otherwise "
                f"({'; '.join(differing)}): name another folder"
            )
        self.check_writable()

    def begin(self, how: dict[str, Any], absent: dict[str, list[str]] | None = None) -> None:
        """Says that an export that is made in this way, without these pairs, is being written."""
        if absent:
            self.write(ABSENT, json.dumps(absent).encode())
        self.write(HOW, json.dumps(how).encode())
        self.delete(MARKER)

    def complete(self) -> dict[str, Any] | None:
        """What a complete export says of itself; None where there is none."""
        return self._read(MARKER).get("export")

    def absent(self) -> dict[str, list[str]]:
        """Ids of the pairs of each shard that an export under a rule does not hold, be it complete
        or begun; empty where it does not say so."""
        return self._read(MARKER).get("absent") or self._read(ABSENT)

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        with self._reported(name, "read"):
            return self._retried(lambda: self.fs.exists(self.path(name)))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self.read(name))
        except FileNotFoundError:
            return {}
        except ValueError as e:
            raise OutputError(f"{self.url}/{name} is damaged: name another folder with --to") from e

    def parts(self) -> set[str]:
        """Names of the parts that are written."""
        return {name.rsplit("/", 1)[-1] for name in self.listed(PARTS)}

    def names(self, folder: str) -> set[str]:
        """Names of all files and folders in a folder; none when it does not exist."""
        self.fs.invalidate_cache()
        path = self.path(folder).rstrip("/")
        try:
            with self._reported(folder, "listed"):
                listed = self._retried(lambda: self.fs.ls(path, detail=False))
        except FileNotFoundError:
            return set()
        return {one.rstrip("/").rsplit("/", 1)[-1] for one in listed} - {""}

    def finish(
        self,
        how: dict[str, Any],
        export: dict[str, Any],
        absent: dict[str, list[str]] | None = None,
    ) -> None:
        """Marks the export, without these pairs, as complete and removes what it needed."""
        marker = {"how": how, "export": export, **({"absent": absent} if absent else {})}
        self.write(MARKER, json.dumps(marker, indent=2, ensure_ascii=False).encode())
        self.tidy()

    def tidy(self) -> None:
        """Removes what a complete export no longer needs."""
        if self.exists(self.work):
            with self._reported(self.work, "removed"):
                self._retried(lambda: self.fs.rm(self.path(self.work), recursive=True))

    def read_parts(self, names: list[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The parts in the order of their names: what was counted, and the writer's bytes."""
        for name in names:
            head, _, body = self.read(f"{PARTS}/{name}").partition(b"\n")
            yield json.loads(head), body
