"""The folder or URL of an export."""

import json
from collections.abc import Iterator
from typing import Any

from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store

MARKER = ".export.json"
"""The file that marks an export as complete."""
PARTS, HOW, ABSENT = ".export/parts", ".export/how.json", ".export/absent.json"


class ExportStore(Store):
    """The files of an export. Those needed during the export lie in `.export`, which is removed at
    the end: a trainer may take every folder for a class."""

    work = ".export"
    option = "to"

    def check(self, how: dict[str, Any]) -> None:
        """Checks that this export can start or resume here.

        Raises:
            ConfigError: there are other files here, or an export with other facts.
            OutputError: nothing can be written.
        """
        self.check_reachable()
        names = self.names()
        existing = {name for name in names if not name.startswith(".")}
        begun = MARKER in names or (self.work in names and self.exists(HOW))
        if existing and not begun:
            raise ConfigError(
                f"--to {shown(self.url)} is not empty and is no export (it holds "
                f"{shown(min(existing))}): name a folder that is empty or does not exist"
            )
        before = self._read(MARKER).get("how") or self._read(HOW) or how
        differing = [
            f"{name}: {before.get(name)}, now {value}"
            for name, value in ({**dict.fromkeys(before), **how}).items()
            if before.get(name) != value
        ]
        if differing:
            raise ConfigError(
                f"--to {shown(self.url)} holds an export with other options "
                f"({'; '.join(differing)}): name another folder"
            )
        self.check_writable()

    def begin(self, how: dict[str, Any], absent: dict[str, list[str]] | None = None) -> None:
        """Records that an export has begun; `absent` lists the pairs it omits."""
        if absent:
            self.write(ABSENT, json.dumps(absent).encode())
        self.write(HOW, json.dumps(how).encode())
        self.delete(MARKER)

    def complete(self) -> dict[str, Any] | None:
        """The stored result of a complete export, or None."""
        return self._read(MARKER).get("export")

    def absent(self) -> dict[str, list[str]]:
        """Ids of the pairs that this export omits, by shard."""
        return self._read(MARKER).get("absent") or self._read(ABSENT)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self.read(name))
        except FileNotFoundError:
            return {}
        except ValueError as e:
            raise OutputError(f"{self.url}/{name} is damaged: name another folder with --to") from e

    def parts(self) -> set[str]:
        """Names of the finished parts."""
        return {name.rsplit("/", 1)[-1] for name in self.listed(PARTS)}

    def names(self) -> set[str]:
        """Names of all files and folders here; none when the place does not exist."""
        listed = self._ls("", detail=False)
        return {path.rstrip("/").rsplit("/", 1)[-1] for path in listed} - {""}

    def finish(
        self,
        how: dict[str, Any],
        export: dict[str, Any],
        absent: dict[str, list[str]] | None = None,
    ) -> None:
        """Marks the export, without the absent pairs, as complete and removes `.export`."""
        marker = {"how": how, "export": export, **({"absent": absent} if absent else {})}
        self.write(MARKER, json.dumps(marker, indent=2, ensure_ascii=False).encode())
        self.tidy()

    def tidy(self) -> None:
        """Removes `.export`, which a complete export does not need."""
        if self.exists(self.work):
            with self._reported(self.work, "removed"):
                self._retried(lambda: self.fs.rm(self.path(self.work), recursive=True))

    def read_parts(self, names: list[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The parts with these names, in order: counts and the writer's bytes."""
        for name in names:
            head, _, body = self.read(f"{PARTS}/{name}").partition(b"\n")
            yield json.loads(head), body
