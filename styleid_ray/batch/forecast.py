"""Cost of a job before it runs: `styleid-ray plan`. Runs nothing and writes nothing."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from styleid_ray.batch.cluster.resources import cores, gpus_per_actor
from styleid_ray.batch.demand import bytes_read, bytes_written, fits_of, places_of
from styleid_ray.batch.folder.identity import with_precision
from styleid_ray.batch.prepare import Prepared, prepare
from styleid_ray.batch.rate import actor_rate, measure_rate, run_differs
from styleid_ray.batch.stages.mask import masks_of
from styleid_ray.batch.watch.progress import duration
from styleid_ray.config import JobConfig
from styleid_ray.datasets.source import dataset_line, in_words, skipped_files
from styleid_ray.errors import ConfigError
from styleid_ray.planning import Cost, Pace, Plan
from styleid_ray.planning.cost import shard_pictures
from styleid_ray.planning.gpus import GpuFit
from styleid_ray.planning.pairs_file import check_pairs_file
from styleid_ray.planning.pairs_file import save_pairs as write_pairs
from styleid_ray.planning.variants import count_variants
from styleid_ray.storage.locations import shown

_GIB = 2**30
_UNKNOWN_TIME = "unknown: --calibrate measures it, --rate RUN takes it from a run"


@dataclass(frozen=True)
class Fact:
    """One statement on a job's cost."""

    name: str = ""
    text: str = ""
    """For a person, with units; '' for a fact that is only in numbers."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """For a program, by key."""


@dataclass(frozen=True)
class Forecast:
    """Estimated cost of a job."""

    facts: Sequence[Fact]

    def as_dict(self) -> dict[str, Any]:
        """Numbers for `--json`: counts, bytes, seconds."""
        return {key: value for fact in self.facts for key, value in fact.numbers.items()}

    def as_text(self) -> dict[str, str]:
        """The same for a person: names, and values with their units."""
        return {fact.name: fact.text for fact in self.facts if fact.text}


def forecast(
    config: JobConfig,
    rate: float | str | None = None,
    calibrate: bool = False,
    price: float | None = None,
    save_pairs: str | None = None,
) -> Forecast:
    """Plans a job and estimates its cost.

    Args:
        config: the job.
        rate: UNet evaluations per second of one actor, or a run that measured it, as in
            `actor_rate`.
        calibrate: load the model and measure the rate on this machine's device.
        price: money per GPU hour.
        save_pairs: file to write the pairs to.

    Raises:
        ConfigError: `rate` and `price` do not suit each other or the job.
        JobError: something else is wrong with the job.
    """
    run = rate
    rate = None if rate is None else actor_rate(rate, config.storage_options)
    _check(config, rate, calibrate, price)
    if save_pairs:
        check_pairs_file(save_pairs)
    gpus = gpus_per_actor(config)
    job = prepare(with_precision(config, gpus))
    config = job.config
    differing = run_differs(run, job) if isinstance(run, str) else None
    for note in filter(None, (*job.notes, differing)):
        print(note, file=sys.stderr)
    if save_pairs:
        write_pairs(job.named.pairs.table, save_pairs, config.storage_options)
        print(f"pairs written to {shown(save_pairs)}", file=sys.stderr)
    if calibrate:
        rate = measure_rate(job)
    workers = config.actors[1] if config.actors else 1
    pace = Pace(workers, 1 / rate) if rate else job.pace(workers, gpus, cores())
    plan = job.named.cut(config, pace)
    cost = job.cost_of(plan)
    return Forecast(
        [
            *_pairs(job, cost),
            Fact("planned for", "GPUs; --device cpu plans for CPUs" * bool(gpus)),
            Fact("shards", f"{cost.shards:,}", {"shards": cost.shards}),
            *_evaluations(config, cost),
            *_bytes(job, plan),
            *_memory(job, plan, gpus),
            *(_time(cost.unet_evaluations / rate, rate, gpus, price) if rate else ()),
            Fact("fingerprint", job.fingerprint, {"fingerprint": job.fingerprint}),
            Fact("time", _UNKNOWN_TIME * (config.method == "styleid" and not rate)),
        ]
    )


def _pairs(job: Prepared, cost: Cost) -> Iterator[Fact]:
    text = f"{cost.pairs:,} of {cost.contents:,} contents and {cost.styles:,} styles"
    counts = {"pairs": cost.pairs, "contents": cost.contents, "styles": cost.styles}
    yield Fact("pairs", text, counts)
    if (variants := count_variants(job.config)) > 1:
        yield Fact("variants", f"{variants:,} per content and style", {"variants": variants})
    dataset, skipped = dataset_line(job.contents), skipped_files(job.contents, job.styles)
    yield Fact("dataset", dataset, {"dataset": dataset})
    yield Fact("skipped", in_words(skipped), {"left_out": dict(skipped)})


def _evaluations(config: JobConfig, cost: Cost) -> Iterator[Fact]:
    plan, inversions = cost.unet_evaluations, cost.content_inversions + cost.style_inversions
    styleid = config.method == "styleid"
    yield Fact("inversions", f"{inversions:,}" * styleid, {"inversions": inversions})
    text = f"{plan:,}" + f" (method {config.method})" * (not styleid)
    yield Fact("UNet evaluations", text, {"unet_evaluations": plan})
    if not styleid:
        yield Fact(numbers={"method": config.method})
    for key, count, name, divisor in (
        ("floor", cost.floor_unet_evaluations, "minimum possible", "minimum"),
        ("naive", cost.naive_unet_evaluations, "pair by pair", "pair by pair"),
    ):
        ratio = plan / count if count else None
        text = f"{count:,} (plan / {divisor} = {ratio:.2f})" if ratio else ""
        numbers = {f"{key}_unet_evaluations": count, f"{key}_ratio": ratio and round(ratio, 4)}
        yield Fact(f"  {name}", text, numbers)


def _bytes(job: Prepared, plan: Plan) -> Iterator[Fact]:
    read, written = bytes_read(plan), bytes_written(job, plan)
    masks = ", masks not counted" * bool(masks_of(job.config))
    yield Fact("read", _size(read) + masks, {"bytes_in": read})
    yield Fact("written", f"about {_size(written)}", {"bytes_out": written})


def _memory(job: Prepared, plan: Plan, gpus: float) -> Iterator[Fact]:
    """Memory by feature store, and how the job fits common GPUs; neighbours that are alike share a
    line."""
    counts = np.unique(shard_pictures(plan.table), axis=0).tolist()
    places, fits = places_of(job, counts), fits_of(job, counts, gpus)
    yield Fact(numbers={"memory": {store: asdict(place) for store, place in places.items()}})
    for store, place in places.items():
        name = "memory" + f", features {store}" * (job.config.method == "styleid")
        text = f"{_size(place.device)} on the device, {_size(place.host)} on the host"
        yield Fact(name, text)
    if fits:
        numbers = {"gpus": [asdict(fit) for fit in fits]}
        yield Fact("by GPU memory", "estimates, counted and not measured on a GPU", numbers)
    for text, alike in groupby(fits, GpuFit.as_text):
        first, *others = [fit.gb for fit in alike]
        yield Fact(f"  {first} to {others[-1]} GB" if others else f"  {first} GB", text)


def _time(seconds: float, rate: float, gpus: float, price: float | None) -> Iterator[Fact]:
    hours = seconds / 3600 * gpus
    text = f"{rate:,.1f} UNet evaluations/s per actor"
    yield Fact("rate", text, {"rate": round(rate, 3)})
    yield Fact("time of one actor", duration(seconds), {"seconds": round(seconds, 1)})
    yield Fact("GPU hours", f"{hours:,.2f} h", {"gpu_hours": round(hours, 4)})
    if price is not None:
        cost = price * hours
        yield Fact("cost", f"{cost:,.2f} in the unit of --price", {"cost": round(cost, 2)})


def _check(config: JobConfig, rate: float | None, calibrate: bool, price: float | None) -> None:
    for name, value in (("rate", rate), ("price", price)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"--{name} {value:g}: must be above 0 and finite")
    given = {"calibrate": calibrate, "rate": rate is not None, "price": price is not None}
    if config.method != "styleid" and any(given.values()):
        raise ConfigError(
            f"--{next(filter(given.get, given))} is about UNet evaluations, and --method "
            f"{config.method} takes none: leave it out"
        )
    if rate is not None and calibrate:
        raise ConfigError("--rate and --calibrate both set the rate of an actor: give one of them")
    if price is None:
        return
    if rate is None and not calibrate:
        raise ConfigError("--price needs --rate or --calibrate, which give the GPU hours")
    if not gpus_per_actor(config):
        raise ConfigError("--price is per GPU hour, but the job uses no GPU: leave it out")


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    if count < _GIB / 100:
        return f"{count / 2**20:,.2f} MiB"
    return f"{count / _GIB:,.2f} GiB"
