"""The project's claims about speed and memory, measured.

    python -m benchmarks                                  # all of them
    python -m benchmarks --only naive,pipeline            # some of them
    python -m benchmarks --only gpu --gpu.seconds 200     # with options of their own

naive     the engine against the plain procedure: UNet evaluations, seconds, distance to the floor
pipeline  the pipeline on Ray against the bare engine
scaling   1 to 64 actors on simulated devices
memory    peak memory of driver, actors and object store while the pairs grow
gpu       the engine and the plain procedure on a GPU, with a model of Stable Diffusion 1.x's size
planning  time and memory of plans
resuming  time and memory of a command on a finished run
loading   time and memory of loading one shard of large pictures
exporting time and memory of exporting a run of a COCO dataset
evaluating time and memory of evaluating a run
controls  what each control costs, and what masks and detail do to a picture
vprediction what inversion and sampling keep of a latent, by how a v-prediction is read

Prints tables in Markdown and writes all of them as JSON. Ratios are within one run.
"""

from __future__ import annotations

import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the pipeline's actors have it

import sys
from dataclasses import asdict
from pathlib import Path

import tyro

from benchmarks.machine import describe_machine
from benchmarks.measure import measure
from benchmarks.options import BenchmarkOptions
from styleid_ray.errors import StyleIDError


def main(options: BenchmarkOptions) -> None:
    """Makes the measurements; the JSON is written after each, so that none is lost."""
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    found = {"machine": machine, "options": asdict(options), "tables": {}}
    target = Path(options.json)
    target.parent.mkdir(parents=True, exist_ok=True)
    for name, table in measure(options):
        print(f"\n{table}", flush=True)
        found["tables"][name] = asdict(table)
        target.write_text(json.dumps(found, indent=2))
    print(f"\nwritten to {target}")


if __name__ == "__main__":
    try:
        main(tyro.cli(BenchmarkOptions, description=__doc__))
    except StyleIDError as e:
        sys.exit(f"error: {e}")
