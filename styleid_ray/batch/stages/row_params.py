"""The column `params` of the dataset: the parameters that a row's picture was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from styleid_ray.config import JobConfig
from styleid_ray.model.lora import name_of
from styleid_ray.storage.secrets import without_secrets

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
    ]
)
"""Fields of every run."""
CONTROLS: Mapping[str, pa.DataType] = {
    "gamma_schedule": pa.string(),
    "temperature_schedule": pa.string(),
    "adain_strength": pa.float64(),
    "low_frequency": pa.float64(),
    "detail": pa.float64(),
    "detail_luminance": pa.bool_(),
    "masks": pa.bool_(),
    "region_styles": pa.string(),
    "vae": pa.string(),
    "lora": pa.string(),
    "tile": pa.int32(),
    "vae_tile": pa.int32(),
    "method": pa.string(),
}
"""Fields of runs that use the control, in this order."""
_SCHEDULED = ("gamma", "temperature")


@dataclass(frozen=True)
class RowParams:
    """The parameters of a job's rows."""

    type: pa.StructType
    """`PARAMS`, and the `CONTROLS` that the job uses. An option without effect on the method is
    null, and so is a number that a schedule replaces."""
    values: Mapping[str, Any]

    @classmethod
    def of(cls, config: JobConfig, revision: str | None) -> RowParams:
        """The parameters of a job whose model is at a revision."""
        values = config.style_params.resolved().model_dump() | {
            "size": config.working_size,
            "fit": config.fit,
            "model": without_secrets(config.model),
            "revision": revision or "",  # not null, which PyTorch does not collate
        }
        used = _used(config, values)
        for name in _SCHEDULED:
            if isinstance(values[name], str):
                values[name] = None
        values["adain"] = bool(values["adain"])
        values |= dict.fromkeys(config.without_effect & values.keys())
        fields = [(name, kind) for name, kind in CONTROLS.items() if name in used]
        kept = {name: values[name] for name in PARAMS.names}
        return cls(pa.struct([*PARAMS, *fields]), kept | used)

    def of_pair(self, pair: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a pair, which may have a gamma and a temperature of its own."""
        own = {name: pair[name] for name in _SCHEDULED if pair[name] is not None}
        instead = {f"{name}_schedule": None for name in own if f"{name}_schedule" in self.values}
        return {**self.values, **own, **instead}


def _used(config: JobConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """The controls that a job uses, from its resolved parameters."""
    adain, detail = values["adain"], config.detail
    schedules = {name: values[name] for name in _SCHEDULED if isinstance(values[name], str)}
    controls = {
        **{f"{name}_schedule": text for name, text in schedules.items() if config.inject},
        "adain_strength": None if isinstance(adain, bool) else adain,
        "low_frequency": config.low_frequency if config.low_frequency != 1 else None,
        "detail": detail or None,
        "detail_luminance": True if detail and config.detail_luminance else None,
        "masks": True if config.masks else None,
        "region_styles": config.region_styles or None,
        "tile": config.tile or None,
        "vae_tile": config.vae_tile or None,
        "vae": without_secrets(config.vae) if config.vae else None,
        "lora": ",".join(map(name_of, config.lora)) or None,
        "method": config.method if config.method != "styleid" else None,
    }
    return {name: value for name, value in controls.items() if value is not None}
