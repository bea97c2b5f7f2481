"""The column `params` of the dataset: the parameters that a row's picture was made with."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from styleid_ray.config import JobConfig
from styleid_ray.model.lora import name_of
from styleid_ray.storage.secrets import without_secrets

_SCHEDULED = ("gamma", "temperature")
PARAMS = pa.struct(
    [
        ("preset", pa.string()),
        ("steps", pa.int32()),
        ("gamma", pa.float64()),
        ("temperature", pa.float64()),
        ("layers", pa.list_(pa.int32())),
        ("adain", pa.bool_()),
        ("inject", pa.bool_()),
        ("size", pa.int32()),
        ("fit", pa.string()),
        ("model", pa.string()),
        ("revision", pa.string()),
        ("gamma_schedule", pa.string()),
        ("temperature_schedule", pa.string()),
        ("adain_strength", pa.float64()),
        ("low_frequency", pa.float64()),
        ("detail", pa.float64()),
        ("detail_luminance", pa.bool_()),
        ("masks", pa.bool_()),
        ("region_styles", pa.string()),
        ("vae", pa.string()),
        ("lora", pa.string()),
        ("tile", pa.int32()),
        ("vae_tile", pa.int32()),
        ("method", pa.string()),
    ]
)
"""The same fields in every run. Null are an option without effect on the method, and γ or a
temperature that a schedule replaces. A control that is not used has its neutral value, an empty
text or 0, since PyTorch does not collate nulls."""


def params_of_job(config: JobConfig, revision: str | None) -> dict[str, Any]:
    """The fields of `PARAMS` for the pairs of a job whose model is at a revision."""
    values = config.style_params.resolved().model_dump()
    adain = values["adain"]
    values |= {
        "adain": bool(adain),
        "adain_strength": float(adain),
        "size": config.working_size,
        "fit": config.fit,
        "model": without_secrets(config.model),
        "revision": revision or "",
        "masks": bool(config.masks),
        "region_styles": config.region_styles or "",
        "vae": without_secrets(config.vae or ""),
        "lora": ",".join(map(name_of, config.lora)),
        "tile": config.tile or 0,
        "vae_tile": config.vae_tile or 0,
        "method": config.method,
    }
    for name in _SCHEDULED:
        schedule = values[name] if isinstance(values[name], str) else ""
        values |= {f"{name}_schedule": schedule, name: None if schedule else values[name]}
    return {
        name: None if option_of(name) in config.without_effect else values[name]
        for name in PARAMS.names
    }


def params_of_pair(params: Mapping[str, Any], pair: Mapping[str, Any]) -> dict[str, Any]:
    """A job's parameters for a pair, which may have a γ and a temperature of its own."""
    own = {name: pair[name] for name in _SCHEDULED if pair[name] is not None}
    return {**params, **own, **{f"{name}_schedule": "" for name in own}}


def option_of(field: str) -> str:
    """The option that a field is about."""
    return field.removesuffix("_schedule").removesuffix("_strength")
