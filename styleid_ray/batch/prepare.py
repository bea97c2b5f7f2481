"""All that can be wrong with a job, found before any work starts: model, layers, size, sources."""

from __future__ import annotations

from dataclasses import dataclass, replace

from styleid_ray.batch.cluster.node_model import find_model
from styleid_ray.batch.folder.record import identity, make_plan
from styleid_ray.config import JobConfig, digest
from styleid_ray.engine.checkpoint import Checkpoint
from styleid_ray.errors import ConfigError
from styleid_ray.imaging import extension
from styleid_ray.imaging.fit import check_crop_size, working_size
from styleid_ray.planning import Plan, recut_plan
from styleid_ray.planning.cost import Cost
from styleid_ray.planning.sources import takes
from styleid_ray.storage.locations import shown


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

    @property
    def latent_side(self) -> int:
        """Side of the latent of a square picture at the working size."""
        size, factor = self.config.size, self.checkpoint.factor
        vae_levels = len(self.checkpoint.config("vae")["block_out_channels"])
        return working_size(size, size, size, factor)[0] // 2 ** (vae_levels - 1)

    def for_workers(self, workers: int) -> Prepared:
        """The same pairs, cut into shards for so many actors."""
        return replace(self, plan=recut_plan(self.plan, self.config.shard_pairs, workers))


def prepare(config: JobConfig) -> Prepared:
    """Checks a job and plans it; raises JobError with what to change.

    The shards are cut for as many actors as the job asks for, or else for one.
    """
    checkpoint = find_model(config)
    _check_layers(checkpoint, config)
    if config.fit == "crop":
        check_crop_size(config.size, checkpoint.factor)
    _check_apart(config)
    _, workers = config.actors or (1, 1)
    return Prepared(config, checkpoint, make_plan(config, checkpoint, workers))


def _check_layers(checkpoint: Checkpoint, config: JobConfig) -> None:
    unet = checkpoint.config("unet")
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
            f"--layers {missing} are not decoder self-attention layers of {checkpoint.name}, "
            f"which has {there}"
        )


def _check_apart(config: JobConfig) -> None:
    """Refuses an output whose pictures would be contents or styles when the run goes on."""
    if config.format != "files" or config.pairing == "table":
        return
    picture = f"{config.output.rstrip('/')}/images/x{extension(config.picture_format)}"
    for name in ("content", "style"):
        url = getattr(config, name)
        if takes(url, picture):
            raise ConfigError(
                f"--output {shown(config.output)} lies in --{name} {shown(url)}, where its "
                "pictures would be taken for more of them: name a place outside, or use "
                "--format parquet"
            )
