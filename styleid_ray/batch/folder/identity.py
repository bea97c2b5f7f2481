"""The identity of a job's output, and the options that complete a job."""

from collections.abc import Mapping, Sequence
from typing import Any

from styleid_ray.config import PAPER_SIZE, Changes, JobConfig
from styleid_ray.model.checkpoint import Checkpoint, last_part


def model_identity(checkpoint: Checkpoint) -> str | None:
    """A model's identity, wherever it lies: the last part of its name, and its fingerprint. None
    for a method without a model."""
    if checkpoint.origin == "none":
        return None
    return f"{last_part(checkpoint.name)} {checkpoint.fingerprint}"


def identity(config: JobConfig, checkpoint: Checkpoint, *changing: Changes) -> dict[str, Any]:
    """The identity of a job's output: its options (`changing` as in `JobConfig.identity`), and the
    fingerprints of the model, its other autoencoder and its LoRA weights, if the method has them.
    """
    values, model = config.identity(*changing), model_identity(checkpoint)
    values |= {"model": model} if model else {}
    values |= {"vae": checkpoint.vae.identity} if checkpoint.vae else {}
    return values | ({"lora": loras_of(checkpoint)} if checkpoint.loras else {})


def loras_of(checkpoint: Checkpoint) -> list[str] | None:
    """Identities of a model's LoRA weights; None without any."""
    return [lora.identity for lora in checkpoint.loras] or None


def with_precision(config: JobConfig, gpus: float) -> JobConfig:
    """The job with `auto` precisions resolved for actors with `gpus` GPUs each. GPUs reserved for
    actors on the CPU (`--device cpu`) do not count. A precision that the method ignores stays.
    """
    dtype = config.dtype
    if dtype == "auto":
        dtype = "float16" if gpus and config.device != "cpu" else "float32"
    features = config.feature_dtype if config.feature_dtype != "auto" else dtype
    chosen = {"dtype": dtype, "feature_dtype": features}
    return config.model_copy(
        update={name: x for name, x in chosen.items() if name not in config.without_effect}
    )


def with_defaults(config: JobConfig, size: int, layers: Sequence[int] | None) -> JobConfig:
    """The job with a model's working size (in pixels) and layers (None for the preset's) where it
    leaves them open, and no `tile` if it is as large as the picture."""
    chosen: dict[str, Any] = {} if config.size else {"size": size}
    if config.tile and config.tile >= (config.size or size):
        chosen["tile"] = None
    if layers and not config.layers and "layers" not in config.without_effect:
        chosen["layers"] = tuple(layers)
    return config.model_copy(update=chosen)


def with_stored(config: JobConfig, record: Mapping[str, Any]) -> JobConfig:
    """The job with its run's precisions and model defaults where it leaves them open."""
    stored = record["identity"]
    names = [n for n in ("dtype", "feature_dtype") if n in stored and getattr(config, n) == "auto"]
    config = config.model_copy(update={name: stored[name] for name in names})
    model = record["model"]
    return with_defaults(config, model.get("size", PAPER_SIZE), model.get("layers"))
