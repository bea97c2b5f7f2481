"""Cost of a job before it runs: `styleid-ray plan`. Runs nothing and writes nothing."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from styleid_ray.batch.demand import Place, fits_of, places_of
from styleid_ray.batch.folder.identity import with_precision
from styleid_ray.batch.prepare import Prepared, prepare
from styleid_ray.batch.rate import actor_rate, measure_rate, run_differs
from styleid_ray.batch.stages.mask import masks_of
from styleid_ray.batch.watch.progress import duration
from styleid_ray.config import JobConfig
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.source import dataset_line, in_words, skipped_files
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.imaging import decode, encode, fit_picture, restore
from styleid_ray.planning import Cost, Pace, Plan
from styleid_ray.planning.columns import all_styles, codes, distinct, further_styles
from styleid_ray.planning.cost import shard_pictures
from styleid_ray.planning.gpus import GpuFit
from styleid_ray.planning.pairs_file import check_pairs_file
from styleid_ray.planning.pairs_file import save_pairs as write_pairs
from styleid_ray.planning.variants import count_variants
from styleid_ray.storage.locations import shown
from styleid_ray.storage.version import size_in

SAMPLE = 5
"""Contents that are encoded as results would be, to estimate the results' bytes."""
_GIB = 2**30


@dataclass(frozen=True)
class Time:
    """Time of one actor for the whole job, and its price."""

    rate: float
    """UNet evaluations per second."""
    seconds: float
    gpu_hours: float
    price: float | None
    """Money per GPU hour."""


@dataclass(frozen=True)
class Forecast:
    """Estimated cost of a job."""

    job: Prepared
    cost: Cost
    bytes_in: int | None
    """Bytes of the pictures, each read once per shard; None if the sizes are unknown."""
    bytes_out: int | None
    """Estimated bytes of the results; None if no content of the sample can be read."""
    memory: dict[str, Place]
    """By feature store."""
    gpus: Sequence[GpuFit]
    """The part of the job that fits on common GPUs; empty without a UNet or on CPUs."""
    time: Time | None

    def as_dict(self) -> dict[str, Any]:
        """Numbers for `--json`: counts, bytes, seconds."""
        cost, config, variants = asdict(self.cost), self.job.config, count_variants(self.job.config)
        inversions = cost.pop("content_inversions") + cost.pop("style_inversions")
        numbers = cost | {
            "inversions": inversions,
            "floor_ratio": self._ratio(self.cost.floor_unet_evaluations),
            "naive_ratio": self._ratio(self.cost.naive_unet_evaluations),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "memory": {store: asdict(place) for store, place in self.memory.items()},
            "fingerprint": self.job.fingerprint,
            "dataset": dataset_line(self.job.contents),
            "left_out": dict(skipped_files(self.job.contents, self.job.styles)),
        }
        if config.method != "styleid":
            numbers["method"] = config.method
        if self.gpus:
            numbers["gpus"] = [asdict(fit) for fit in self.gpus]
        if variants > 1:
            numbers["variants"] = variants
        if self.time:
            numbers |= {
                "rate": round(self.time.rate, 3),
                "seconds": round(self.time.seconds, 1),
                "gpu_hours": round(self.time.gpu_hours, 4),
            }
            if self.time.price is not None:
                numbers["cost"] = round(self.time.price * self.time.gpu_hours, 2)
        return numbers

    def as_text(self) -> dict[str, str]:
        """The same for a person: names, and values with their units."""
        cost, job, method = self.cost, self.job, self.job.config.method
        lines = {
            "pairs": f"{cost.pairs:,} of {cost.contents:,} contents and {cost.styles:,} styles"
        }
        if (variants := count_variants(job.config)) > 1:
            lines["variants"] = f"{variants:,} per content and style"
        if dataset := dataset_line(job.contents):
            lines["dataset"] = dataset
        if skipped := skipped_files(job.contents, job.styles):
            lines["skipped"] = in_words(skipped)
        if _gpus(job.config):
            lines["planned for"] = "GPUs; --device cpu plans for CPUs"
        lines |= {
            "shards": f"{cost.shards:,}",
            **self._evaluations(),
            "read": _size(self.bytes_in) + ", masks not counted" * bool(masks_of(job.config)),
            "written": f"about {_size(self.bytes_out)}",
        }
        for store, place in self.memory.items():
            lines["memory" + f", features {store}" * (method == "styleid")] = (
                f"{_size(place.device)} on the device, {_size(place.host)} on the host"
            )
        if self.gpus:
            lines["by GPU memory"] = "estimates, counted and not measured on a GPU"
        lines |= _by_memory(self.gpus)
        if self.time:
            lines["rate"] = f"{self.time.rate:,.1f} UNet evaluations/s per actor"
            lines["time of one actor"] = duration(self.time.seconds)
            lines["GPU hours"] = f"{self.time.gpu_hours:,.2f} h"
            if self.time.price is not None:
                cost = self.time.price * self.time.gpu_hours
                lines["cost"] = f"{cost:,.2f} in the unit of --price"
        lines["fingerprint"] = job.fingerprint
        if not self.time and method == "styleid":
            lines["time"] = "unknown: --calibrate measures it, --rate RUN takes it from a run"
        return lines

    def _evaluations(self) -> dict[str, str]:
        cost, method = self.cost, self.job.config.method
        if method != "styleid":
            return {"UNet evaluations": f"0 (method {method})"}
        plan = cost.unet_evaluations
        floor, naive = cost.floor_unet_evaluations, cost.naive_unet_evaluations
        return {
            "inversions": f"{cost.content_inversions + cost.style_inversions:,}",
            "UNet evaluations": f"{plan:,}",
            "  minimum possible": f"{floor:,} (plan / minimum = {plan / floor:.2f})",
            "  pair by pair": f"{naive:,} (plan / pair by pair = {plan / naive:.2f})",
        }

    def _ratio(self, evaluations: int) -> float | None:
        """The plan's UNet evaluations divided by others; None for a method without any."""
        return round(self.cost.unet_evaluations / evaluations, 4) if evaluations else None


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
    gpus = _gpus(config)
    job = prepare(with_precision(config, gpus))
    config = job.config
    differing = run_differs(run, job) if isinstance(run, str) else None
    for note in filter(None, (*job.named.pairs.notes, *job.notes, differing)):
        print(note, file=sys.stderr)
    if save_pairs:
        write_pairs(job.named.pairs.table, save_pairs, config.storage_options)
        print(f"pairs written to {shown(save_pairs)}", file=sys.stderr)
    if calibrate:
        rate = measure_rate(job)
    workers = config.actors[1] if config.actors else 1
    pace = Pace(workers, 1 / rate) if rate else job.pace(workers, gpus, os.cpu_count() or 1)
    plan = job.named.cut(config, pace)
    cost, counts = job.cost_of(plan), np.unique(shard_pictures(plan.table), axis=0).tolist()
    seconds = cost.unet_evaluations / rate if rate else 0.0
    return Forecast(
        job,
        cost,
        _bytes_in(plan),
        _bytes_out(job, plan),
        places_of(job, counts),
        fits_of(job, counts, gpus),
        Time(rate, seconds, seconds / 3600 * gpus, price) if rate else None,
    )


def _by_memory(gpus: Sequence[GpuFit]) -> dict[str, str]:
    """How the job fits GPUs, by their memory; neighbours that are alike share a line."""
    lines: dict[str, str] = {}
    for text, alike in groupby(gpus, GpuFit.as_text):
        first, *others = [fit.gb for fit in alike]
        lines[f"  {first} to {others[-1]} GB" if others else f"  {first} GB"] = text
    return lines


def _check(config: JobConfig, rate: float | None, calibrate: bool, price: float | None) -> None:
    for name, value in (("rate", rate), ("price", price)):
        if value is not None and not value > 0:
            raise ConfigError(f"--{name} {value:g}: must be above 0")
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
    if not _gpus(config):
        raise ConfigError("--price is per GPU hour, but the job uses no GPU: leave it out")


def _gpus(config: JobConfig) -> float:
    """GPUs per actor, as far as the options define it."""
    if config.num_gpus_per_actor is not None:
        return config.num_gpus_per_actor
    return 0 if config.on_cpu else 1


def _bytes_in(plan: Plan) -> int | None:
    """Bytes of all pictures, each counted once per shard that reads it; None if the listing has no
    sizes."""
    shard, total = codes(plan.table["shard"]).astype(np.int64), 0
    styles = all_styles(plan.table, further_styles(plan.table.column_names))
    contents = np.arange(plan.pairs), codes(plan.table["content"])
    for (rows, at), source in ((contents, plan.contents), (styles, plan.styles)):
        sizes = [size_in(version) for version in source.versions or [""]]
        if None in sizes:
            return None
        read = distinct(shard[rows] * len(sizes) + at) % len(sizes)
        total += int(np.bincount(read, minlength=len(sizes)) @ np.array(sizes, np.int64))
    return total


def _bytes_out(job: Prepared, plan: Plan) -> int | None:
    """Bytes of the results, estimated from a sample of contents in the results' encoding."""
    config, contents = job.config, plan.contents
    sizes: list[int] = []
    for at in np.linspace(0, len(contents.keys) - 1, min(SAMPLE, len(contents.keys))).round():
        try:
            place = contents.places[int(at)] if contents.places is not None else None
            data = fetch_picture(contents, contents.keys[int(at)], place, config.max_bytes).data
            image = decode(data, config.max_pixels)
            fitted = fit_picture(image, config.working_size, config.fit, job.checkpoint.factor)
            result = restore(fitted, image.width, image.height, config.fit)
            sizes.append(len(encode(result, config.picture_format, config.quality)))
        except RowError:
            continue  # as in a run, a bad picture is no reason to stop
    return round(plan.pairs * sum(sizes) / len(sizes)) if sizes else None


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    if count < _GIB / 100:
        return f"{count / 2**20:,.2f} MiB"
    return f"{count / _GIB:,.2f} GiB"
