"""Whole jobs whose processes, nodes and drivers are killed until they are done.

STYLEID_RAY_CHAOS_KILLS says how many kills, STYLEID_RAY_CHAOS_SEED fixes what is killed when.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.verify import verify
from styleid_ray.cli import main
from tests.batch.conftest import draw, pictures_of, same_pictures
from tests.chaos.machines import Machines, machines
from tests.chaos.storm import Storm
from tests.unreliable import unreliable

pytestmark = pytest.mark.chaos

KILLS = int(os.environ.get("STYLEID_RAY_CHAOS_KILLS") or 30)
SEED = int(os.environ.get("STYLEID_RAY_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
CONTENTS, STYLES = 12, 8
PAIRS = CONTENTS * STYLES
STORE_DECK = ("driver", "driver", "commit", "load", "stylize")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Machines]:
    with machines() as made:
        yield made


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for seed in range(CONTENTS):
        draw(tmp_path / "content" / f"{seed}.png", seed)
    for seed in range(STYLES):
        draw(tmp_path / "style" / f"{seed}.png", 100 + seed)
    return tmp_path


def command(cluster: Machines, sources: str | Path, output: str | Path, *more: str) -> list[str]:
    """A job of 96 pairs in 48 shards, slow enough to be hit."""
    return [
        "stylize",
        f"--content={sources}/content",
        f"--style={sources}/style",
        f"--output={output}",
        f"--address={cluster.address}",
        *("--model=demo", "--size=64", "--steps=10", "--shard-pairs=2"),
        *("--device=cpu", "--actors=2"),
        *more,
    ]


def assert_exactly_once(output: Path, expected: dict[str, np.ndarray]) -> None:
    """The run is whole, holds nothing else, and its pictures are the expected ones."""
    assert main(["verify", str(output)]) == 0
    plan = pads.dataset(output / "_run" / "plan", format="parquet")
    planned = plan.to_table(["pair_id"])["pair_id"].to_pylist()
    found = pictures_of(output)
    assert sorted(found) == sorted(planned)
    same_pictures(found, expected)
    for name in os.listdir(output / "data"):
        assert re.fullmatch(r"shard-[0-9a-f]+\.parquet", name)
    assert not list(output.glob("errors/*"))
    assert len(list(output.glob("images/*"))) in (0, len(planned))


def test_kills_neither_lose_nor_repeat_nor_change_a_pair(cluster: Machines, sources: Path) -> None:
    Storm(cluster, SEED, kills=0).run(command(cluster, sources, sources / "calm"), sources)
    expected = pictures_of(sources / "calm")
    assert len(expected) == PAIRS

    storm, runs = Storm(cluster, SEED, KILLS), 0
    while storm.left:
        runs += 1
        kind = ("parquet", "files")[runs % 2]
        output = sources / f"run-{runs}"
        storm.run(command(cluster, sources, output, f"--format={kind}"), sources)
        assert_exactly_once(output, expected)
    storm.say(_sums(storm, runs))


def test_kills_before_a_store_that_fails_every_tenth_request(
    cluster: Machines, sources: Path, s3: str, s3_endpoint: str
) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    (sources / "content" / "broken.png").write_bytes(b"not a picture")
    for folder in ("content", "style"):
        store.put(str(sources / folder), f"{s3}/in/{folder}", recursive=True)
    with unreliable(s3_endpoint, share=0.1, seed=SEED) as proxy:
        options = {
            "key": os.environ["AWS_ACCESS_KEY_ID"],
            "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint_url": proxy.address,
        }
        storm, runs = Storm(cluster, SEED, max(5, KILLS // 20), STORE_DECK, longest_wait=8.0), 0
        while storm.left:
            runs += 1
            output = f"{s3}/run-{runs}"
            job = command(
                cluster,
                f"{s3}/in",
                output,
                f"--storage-options={json.dumps(options)}",
                "--format=files",
            )
            storm.run(job, sources, expected=1)
            found = verify(Output(output, options))
            assert found.sound
            assert (found.planned, found.done) == (PAIRS + STYLES, PAIRS)
            assert {name: n for name, n in found.findings.items() if n} == {"failed": STYLES}
            table = pads.dataset(
                f"{output}/data".removeprefix("s3://"), filesystem=store
            ).to_table()
            assert len(table["pair_id"].unique()) == table.num_rows == PAIRS
    assert proxy.counts["slow down"]
    assert proxy.counts["dropped"]
    storm.say(f"{_sums(storm, runs)}; requests: {proxy.counts}")


def _sums(storm: Storm, runs: int) -> str:
    kills = ", ".join(f"{count} {kind}" for kind, count in sorted(storm.killed.items()))
    return (
        f"seed {storm.seed}: {sum(storm.killed.values())} kills ({kills}); {runs} runs of {PAIRS} "
        f"pairs, {storm.starts - runs} resumes, {storm.stopped} of them after a driver that gave up"
    )
