"""Writing WebDataset: tars of pictures, their label files and their origins."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

from styleid_ray.datasets.example import Example
from styleid_ray.datasets.labels import Labels
from styleid_ray.storage.store import Store


class Writer:
    """One tar per item of work, `shard-000012.tar`, below the split's folder where there are
    splits: pictures, their unchanged label files, and their origins in NAME.origin.json.

    Files whose name is taken get another: a label file `NAME.png` beside a PNG picture becomes
    `NAME.label.png`, and beside the dataset's own `NAME.origin.json` ours is `NAME.origin2.json`.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store = store

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes the tars of an item, a member at a time. The part is empty."""
        with ExitStack() as stack:
            tars: dict[str, tarfile.TarFile] = {}
            for example in examples:
                if example.split not in tars:
                    top = f"{example.split}/" if example.split else ""
                    name = f"{top}shard-{item:06d}.tar"
                    file = stack.enter_context(self.store.writing(name))
                    tars[example.split] = stack.enter_context(
                        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)
                    )
                for name, data in _members(example).items():
                    _add(tars[example.split], name, data)
        return b""

    def finish(self, parts: Iterator[bytes]) -> None:
        """Does nothing: no file lists all pictures."""


def _members(example: Example) -> Mapping[str, bytes]:
    """The files of a sample by their names, the picture first."""
    files = {example.extension[1:]: example.picture}
    for suffix, data in sorted(example.label.files.items()):
        while suffix in files:
            suffix = f"label.{suffix}"
        files[suffix] = data
    number = next(n for n in range(1, len(files) + 2) if _origin(n) not in files)
    files[_origin(number)] = json.dumps(dict(example.origin), ensure_ascii=False).encode()
    return {f"{example.name}.{suffix}": data for suffix, data in files.items()}


def _origin(number: int) -> str:
    return f"origin{number if number > 1 else ''}.json"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a file without owner and date, so that writing a tar again gives the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    tar.members = []  # pyright: ignore  # else it keeps every member
