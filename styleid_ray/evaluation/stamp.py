"""The state of a run's pictures at the time of an evaluation."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import REMADE, Output, data_file
from styleid_ray.config import digest

_READERS = 16


def stamp(output: Output, shards: Iterable[str]) -> str:
    """A digest of a run's finished shards, which changes when shards are finished or pairs remade.

    Raises:
        FileNotFoundError: a shard has no file.
        pyarrow.ArrowInvalid: a file is damaged.
    """
    names = sorted(shards)

    def remade(name: str) -> str:
        metadata = output.parsed(data_file(name), pq.read_schema).metadata or {}
        return metadata.get(REMADE, b"").decode()

    with ThreadPoolExecutor(_READERS) as pool:
        return digest([names, list(pool.map(remade, names))])
