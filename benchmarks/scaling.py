"""How the pipeline scales with the number of actors, on simulated devices.

What is real: Ray, Ray Data, the plan, loading, committing, and an actor process for each device.
What is simulated: the device. Its actor waits instead of computing, so that a small machine can
keep dozens of them.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.jobs import SHARD_PAIRS, Ran, run_job, simulated_cluster, simulated_job
from benchmarks.options import ScalingOptions
from benchmarks.pictures import draw_pictures
from benchmarks.simulated import simulated
from benchmarks.table import Table

# Contents, and styles, of a shard.
_SIDE = math.isqrt(SHARD_PAIRS)


@dataclass(frozen=True)
class Occupation:
    """What the actors' time went to, as shares of actors x wall time; they add up to 1."""

    busy: float
    starting: float
    """Until an actor's first shard: processes start, the first pictures are loaded."""
    between: float
    """From one shard to the next."""
    ending: float
    """After an actor's last shard, while others still work or files are written."""
    steady: float
    """Busy share from the moment when every actor has begun a shard to the first moment when one
    has none left; not a part of the sum."""
    steady_seconds: float
    """How long that lasts."""
    gap: float
    """Median seconds from one shard to the next."""


def measure_scaling(options: ScalingOptions) -> Table:
    """A run for each number of actors, as many shards for each actor in all of them."""
    rows: list[dict[str, Any]] = []
    base = None
    for actors in options.actors:
        ran = _run(actors, options)
        spent = occupation(ran)
        rate = actors * spent.steady
        base = base or rate / actors
        rows.append(
            {
                "actors (simulated)": len({shard["actor"] for shard in ran.shards}),
                "shards": len(ran.shards),
                "pairs": ran.pairs,
                "wall s": ran.committed[-1] - ran.began,
                "steady s": spent.steady_seconds,
                "busy, steady": spent.steady,
                "speed-up, steady": rate / base,
                "busy, whole run": spent.busy,
                "starting": spent.starting,
                "between shards": spent.between,
                "ending": spent.ending,
                "gap s": spent.gap,
            }
        )
    simulated_seconds = options.shard_seconds / options.shorter
    return Table(
        "Scaling with SIMULATED devices",
        rows,
        [
            "simulated: actors wait instead of computing and hold no model; Ray, loading, "
            "committing and the actors' processes are real, all on this one machine",
            f"assumption: a shard takes a GPU {options.shard_seconds:g} s (200 pairs of 0.5 s); "
            f"here 1/{options.shorter:g} of that, {simulated_seconds:g} s, so that gaps weigh "
            f"{options.shorter:g} times as much as they would",
            f"a simulated shard has {SHARD_PAIRS} pairs of {options.size} x {options.size} pixels, "
            "so that this machine's cores can load and write for all actors",
            "steady: from the moment when every actor has begun its first shard to the first "
            "moment when one has no more; a whole run besides is starting (processes, first "
            "pictures), the gaps between shards, and the wait at the end for the last of them",
        ],
    )


def occupation(ran: Ran) -> Occupation:
    """Where the time of the actors of a run went, by the clock of each shard."""
    actors: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for shard in ran.shards:
        actors[shard["actor"]].append((shard["began"], shard["ended"]))
    spans = [sorted(work) for work in actors.values()]
    end = ran.committed[-1]
    whole = len(spans) * (end - ran.began)
    busy = sum(e - b for work in spans for b, e in work)
    gaps = [b - e for work in spans for (_, e), (b, _) in pairwise(work)]
    first, last = max(work[0][0] for work in spans), min(work[-1][1] for work in spans)
    within = sum(max(0, min(e, last) - max(b, first)) for work in spans for b, e in work)
    return Occupation(
        busy=busy / whole,
        starting=sum(work[0][0] - ran.began for work in spans) / whole,
        between=sum(gaps) / whole,
        ending=sum(end - work[-1][1] for work in spans) / whole,
        steady=within / (len(spans) * (last - first)) if last > first else float("nan"),
        steady_seconds=max(0.0, last - first),
        gap=statistics.median(gaps) if gaps else 0.0,
    )


def _run(actors: int, options: ScalingOptions) -> Ran:
    with tempfile.TemporaryDirectory() as folder:
        contents, styles = _SIDE * options.shards_per_actor, _SIDE * actors
        draw_pictures(Path(folder), contents, styles, options.size)
        config = simulated_job(folder, options.size, actors)
        with simulated_cluster(actors):
            return run_job(config, simulated(options.shard_seconds / options.shorter))
