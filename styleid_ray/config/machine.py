"""How a job uses devices and nodes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from styleid_ray.config.tags import Options, Tag

FeatureStore = Literal["auto", "device", "host"]
Compile = Literal["auto", "on", "off"]
FeatureDType = Literal["auto", "float32", "float16", "bfloat16", "int8"]


class ShardOptions(Options):
    """The unit of work: contents x styles whose inversions are shared."""

    group = "machine"

    shard_pairs: Annotated[int, Field(ge=1, le=2048), Tag("nothing")] = 200
    """Maximum pairs per shard, which inverts each of its pictures once: larger shards need fewer
    UNet evaluations but more memory. Several actors get at least two shards each."""


class EngineOptions(Options):
    """How the engine uses the device. Only `feature_dtype` touches the pictures, and little."""

    group = "machine"

    batch: Annotated[
        Annotated[int, Field(ge=1, le=1024)] | Literal["auto"],
        Tag("nothing", needs="model", written="N|auto"),
    ] = "auto"
    """Maximum latents per UNet call, and a quarter as many pictures per call of the autoencoder;
    auto measures the fastest on a GPU. Halved when memory runs out."""
    features: Annotated[FeatureStore, Tag("nothing", needs="styleid")] = "auto"
    """Where queries, keys and values of inverted pictures are kept: on the device, or in host
    memory, prefetched one step ahead; auto goes by the free memory."""
    feature_dtype: Annotated[FeatureDType, Tag("encoding", needs="styleid")] = "auto"
    """Precision of kept features; auto is the model's; int8 halves float16."""
    feature_memory: Annotated[
        Annotated[float, Field(gt=0)] | None, Tag("nothing", needs="styleid", written="GIB")
    ] = None
    """GiB that kept features may take in an actor; default: three quarters of what is free."""
    compile: Annotated[Compile, Tag("nothing", needs="styleid")] = "auto"
    """Compile UNet and autoencoder with torch.compile, which costs minutes at the start; auto does
    so on a GPU where the job is long enough to pay for it."""

    @field_validator("compile", mode="before")
    @classmethod
    def _compile_from_yaml(cls, value: Any) -> Any:
        # YAML reads the words on and off as true and false.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class ClusterOptions(Options):
    """Where and how wide the job runs. Nothing here changes the pictures."""

    group = "machine"

    address: Annotated[str | None, Tag("nothing", usual=True, written="HOST:PORT")] = None
    """Ray cluster to use ('auto', host:port, ray://...); default: RAY_ADDRESS, else a local Ray."""
    actors: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None,
        Tag("nothing", usual=True, written="MIN,MAX"),
    ] = None
    """Minimum and maximum number of actors (processes that hold the model), as 'min,max' or one
    number; default: one per GPU, or one in all without GPUs."""
    num_gpus_per_actor: Annotated[Annotated[float, Field(ge=0)] | None, Tag("nothing")] = None
    """GPUs an actor takes; a fraction lets several share one; 0 runs on CPU. Default: 1 where the
    cluster has GPUs."""
    accelerator_type: Annotated[str | None, Tag("nothing", needs="model", written="NAME")] = None
    """Kind of GPU that actors run on, as Ray calls it (T4, L4, A10G, A100, H100 ...); others of the
    cluster are left alone. Default: any."""
    grow: Annotated[float, Field(ge=0), Tag("nothing", written="MINUTES")] = 0
    """Minutes to wait for the cluster to scale up to the minimum of --actors; 0 requests no
    scale-up."""

    stall_minutes: Annotated[float, Field(gt=0), Tag("nothing", written="MINUTES")] = 15
    """Minutes without a step of the model after which an actor counts as stalled: it ends, and its
    shard begins again elsewhere."""

    @field_validator("actors", mode="before")
    @classmethod
    def _actors_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if isinstance(value, int):
            value = (value, value)
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = (value[0], value[0])
        return value

    @field_validator("accelerator_type")
    @classmethod
    def _accelerator_type_is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.-]+", value):
            raise ValueError("must be one name such as A100")
        return value

    @model_validator(mode="after")
    def _accelerator_type_needs_gpus(self) -> ClusterOptions:
        if self.accelerator_type and self.num_gpus_per_actor == 0:
            raise ValueError(
                "--accelerator-type is given, but --num-gpus-per-actor is 0: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _actors_in_order(self) -> ClusterOptions:
        if self.actors and self.actors[0] > self.actors[1]:
            raise ValueError(
                f"--actors: the minimum {self.actors[0]} is above the maximum {self.actors[1]}"
            )
        return self
