"""The table of COCO's labels by picture."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from styleid_ray.datasets.coco.label_table import make_table
from styleid_ray.datasets.keys import Keys
from styleid_ray.storage.store import Store


class CountingStore(Store):
    """Counts the bytes that are read from it."""

    count = 0

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        with super().open(name) as file:
            read = file.read

            def counted(*sizes: int) -> bytes:
                data = read(*sizes)
                self.count += len(data)
                return data

            file.read = counted
            yield file


def test_a_task_reads_only_its_own_part_of_the_annotations(tmp_path: Path) -> None:
    keys = Keys(f"{number:06d}.jpg" for number in range(20_000))
    pieces = ((n, random.Random(n).randbytes(500)) for n in reversed(range(20_000)))
    store = CountingStore(str(tmp_path))
    table = make_table(store, "labels.parquet", keys, pieces, b"".join)
    texts = table.read(keys[8_000:8_200])
    assert texts == [random.Random(n).randbytes(500) for n in range(8_000, 8_200)]
    assert 0 < store.count < (tmp_path / "labels.parquet").stat().st_size / 10
    assert table.read(["000000.gif", "z.jpg"]) == [None, None]
