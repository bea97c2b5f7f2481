"""The measurements by name, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from benchmarks.options import BenchmarkOptions
from benchmarks.table import Table
from styleid_ray.errors import ConfigError

MEASUREMENTS = {
    "naive": "reuse",
    "pipeline": "overhead",
    "scaling": "scaling",
    "memory": "memory",
    "gpu": "gpu",
    "planning": "planning",
    "resuming": "resuming",
    "loading": "loading",
    "exporting": "exporting",
    "evaluating": "evaluating",
    "controls": "controls",
    "vprediction": "vprediction",
}
"""Name, which is also that of its options → module, whose function is `measure_` and its name: it
returns a table, or yields several with a name each."""


def measure(options: BenchmarkOptions) -> Iterator[tuple[str, Table]]:
    """Name and table of each measurement asked for; raises ConfigError for a name that is none."""
    chosen = list(MEASUREMENTS) if options.only is None else options.only.split(",")
    unknown = [name for name in chosen if name not in MEASUREMENTS]
    if unknown:
        raise ConfigError(f"--only {','.join(unknown)}: choose from {', '.join(MEASUREMENTS)}")
    for name in chosen:
        measured = _function(MEASUREMENTS[name])(getattr(options, name))
        if isinstance(measured, Table):
            yield name, measured
        else:
            yield from ((f"{name}: {part}", table) for part, table in measured)


def _function(module: str) -> Callable[[Any], Table | Iterator[tuple[str, Table]]]:
    # Not before it is needed: most of them load torch or ray.
    return getattr(import_module(f"benchmarks.{module}"), f"measure_{module}")
