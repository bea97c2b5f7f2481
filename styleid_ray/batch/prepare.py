"""All that can be wrong with a job, found before any work starts: model, layers, size, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from styleid_ray.batch.record import identity, make_plan
from styleid_ray.config import JobConfig, digest
from styleid_ray.engine.checkpoint import Checkpoint, find_checkpoint
from styleid_ray.errors import ConfigError
from styleid_ray.imaging.fit import check_crop_size
from styleid_ray.planning import Plan
from styleid_ray.planning.cost import Cost


@dataclass(frozen=True)
class Prepared:
    """A job that was checked: its model was found and its pairs are planned."""

    config: JobConfig
    checkpoint: Checkpoint
    plan: Plan

    @property
    def fingerprint(self) -> str:
        """What tells this job's output from another's."""
        return digest(identity(self.config, self.checkpoint))

    @property
    def cost(self) -> Cost:
        """Pairs, shards and UNet evaluations."""
        return self.plan.cost(self.config.style_params.resolved())


def prepare(config: JobConfig) -> Prepared:
    """Checks a job and plans it; raises JobError with what to change."""
    checkpoint = find_checkpoint(config.model, config.revision)
    _check_layers(checkpoint.config("unet"), config)
    if config.fit == "crop":
        check_crop_size(config.size, checkpoint.factor)
    return Prepared(config, checkpoint, make_plan(config, checkpoint))


def _check_layers(unet: dict[str, Any], config: JobConfig) -> None:
    depth = unet.get("layers_per_block", 2) + 1
    there = [
        i * depth + j
        for i, block in enumerate(unet.get("up_block_types", ()))
        if "CrossAttn" in block
        for j in range(depth)
    ]
    missing = [layer for layer in config.style_params.resolved().layers if layer not in there]
    if missing and config.inject:
        raise ConfigError(
            f"--layers {missing} are not decoder self-attention layers of {config.model}, "
            f"which has {there}"
        )
