"""The rate of an actor: as a number, measured by a run, or measured on this machine's device."""

import time

from styleid_ray.batch.folder.identity import identity
from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.prepare import Prepared
from styleid_ray.batch.stages.engine import load_engine
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import Options, shown

BATCH = 8
SECONDS = 20.0


def actor_rate(given: str | float, storage_options: Options = None) -> float:
    """UNet evaluations per second of one actor: a number, or the rate that a run measured, named by
    its folder, URL or `summary.json`.

    Raises:
        ConfigError: it is neither.
        OutputError: the run cannot be reached.
    """
    number = _number(given)
    if number is not None:
        return number
    rate = _run_of(str(given), storage_options).summary().get("session", {}).get("actor_rate")
    if not rate:
        raise ConfigError(
            f"--rate {shown(str(given))}: must be UNet evaluations per second as a number, or a "
            f"run whose {SUMMARY} has measured them, such as a pilot made with --limit"
        )
    return rate


def run_differs(given: str, job: Prepared) -> str | None:
    """A note if the run of `actor_rate` differs from a job in an option that changes the rate; None
    otherwise, and for a number or a run without a record."""
    record = _run_of(given, job.config.storage_options).record() if _number(given) is None else None
    if not record:
        return None
    run, own = record["identity"], identity(job.config, job.checkpoint)
    differing = [
        f"{name} {run.get(name)}, not {own.get(name)}"
        for name in ("size", "model", "method", "steps")
        if run.get(name) != own.get(name)
    ]
    if not differing:
        return None
    return f"--rate {shown(given)}: the run has {'; '.join(differing)}: its rate may not hold here"


def _number(given: str | float) -> float | None:
    try:
        return float(given)
    except ValueError:
        return None


def _run_of(given: str, storage_options: Options) -> Output:
    return Output(given.removesuffix(SUMMARY).rstrip("/") or ".", storage_options)


def measure_rate(job: Prepared, seconds: float = SECONDS) -> float:
    """UNet evaluations per second of one actor, measured on random latents at the job's size.

    The plain UNet runs for `seconds` in batches of `BATCH`, or smaller if fewer latents fit, at
    least twice; the first time does not count. Injection, the autoencoder, and reading and writing
    pictures are left out, so a job is somewhat slower. Raises ModelError if the model cannot be
    loaded.
    """
    import torch

    from styleid_ray.engine.schedule import Step

    config, windows = job.config, job.windows
    shape = windows.height, windows.width
    pipe = load_engine(config, job.checkpoint.revision)
    batch = min(BATCH, pipe.memory.batches.most(shape))
    latents = torch.randn(batch, pipe.model.latent_channels, *shape, device=pipe.device)

    def evaluate() -> None:
        eps = pipe.denoise(latents, Step(500, 0.5, 0.5))
        eps.sum().item()  # known when the device is done

    with torch.no_grad():
        end = time.perf_counter() + seconds
        evaluate()
        began, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() < end:
            evaluate()
            calls += 1
    return calls * batch / (time.perf_counter() - began)
