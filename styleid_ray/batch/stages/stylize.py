"""The stylize stage: an actor that holds the model and turns loaded shards into pictures."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from styleid_ray.batch.cluster.node_model import model_on_node
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.naming import run_name
from styleid_ray.batch.stages.shard import RESULTS, Shard, each_shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.batch.watch.measures import ActorClock
from styleid_ray.batch.watch.metrics import STYLIZED, MeasureCounters
from styleid_ray.config import JobConfig
from styleid_ray.engine.autoencoder import NOT_FINITE
from styleid_ray.engine.pipeline import Counts, StyleIDPipeline
from styleid_ray.errors import RowError


class Stylize:
    """Loaded shards to shards with results. One instance is one Ray actor.

    Args:
        config: the job.
        revision: what the model was found at: the commit of one on the hub, the digest of one in
            an object store.
        resources: what this actor has of its node.
    """

    def __init__(self, config: JobConfig, revision: str | None, resources: Resources) -> None:
        self.clock = ActorClock()
        share = resources.share()
        torch.set_num_threads(share.threads)
        self.params = config.style_params
        self.pipe = StyleIDPipeline.from_pretrained(
            *model_on_node(config, revision),
            config.dtype,
            config.device,
            batch_size=config.batch,
            features=config.features,
            feature_dtype=config.feature_dtype,
            feature_memory=config.feature_memory,
            host_share=share.memory,
            device_share=resources.device_share,
            compile=config.compile,
        )
        self.log = StageLog("stylize", config)
        self.counters = MeasureCounters(STYLIZED, run_name(config.output))
        self.clock.ready()

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        return each_shard(block, self.log.of(self.stylize))

    def stylize(self, shard: Shard) -> Shard:
        """The shard's pairs stylised together; a pair that cannot be has its reason instead."""
        began, before, said = time.perf_counter(), self.pipe.counts, len(self.pipe.notes)
        pictures = {(row["role"], row["key"]): row for row in shard.pictures.to_pylist()}
        pairs = shard.pairs.select(["content", "style", "gamma", "temperature"]).to_pylist()
        results: list[dict[str, Any]] = []
        for pair in pairs:
            content = pictures["content", pair["content"]]
            style = pictures["style", pair["style"]]
            failed = next((p for p in (content, style) if p["pixels"] is None), None)
            results.append(
                {name: failed[name] for name in ("stage", "error", "message")}
                if failed
                else {name: content[name] for name in ("source_width", "source_height")}
            )
        good = [row for row, result in enumerate(results) if "stage" not in result]
        images = self._stylize([pairs[row] for row in good], pictures)
        seconds = time.perf_counter() - began
        for row, image in zip(good, images, strict=True):
            results[row] |= _result(image) | {"seconds": seconds / len(good)}
        done = replace(
            shard,
            pictures=shard.pictures.slice(0, 0),  # not needed any more: the row travels lighter
            results=pa.Table.from_pylist(results, schema=RESULTS),
            notes=shard.notes + tuple(self.pipe.notes[said:]),
        ).measured(stylize_seconds=seconds, **self._spent(before), **self.clock.shard(began))
        self.counters.add({**done.measures, "pairs": len(good)})
        return done

    def _stylize(
        self, pairs: list[dict[str, Any]], pictures: dict[tuple[str, str], dict[str, Any]]
    ) -> list[Image.Image | None]:
        """A picture for each pair, or None where the model gave values that are no numbers."""
        if not pairs:
            return []
        contents = list(dict.fromkeys(pair["content"] for pair in pairs))
        styles = list(dict.fromkeys(pair["style"] for pair in pairs))
        latents = self.pipe.transfer_latents(
            self.pipe.encode([_image(pictures["content", key]) for key in contents]),
            self.pipe.encode([_image(pictures["style", key]) for key in styles]),
            [(contents.index(pair["content"]), styles.index(pair["style"])) for pair in pairs],
            [self._params(pair) for pair in pairs],
            keys=(
                [_pixel_key(pictures["content", key]) for key in contents],
                [_pixel_key(pictures["style", key]) for key in styles],
            ),
        )
        finite = [row for row, z in enumerate(latents) if bool(torch.isfinite(z).all())]
        images: list[Image.Image | None] = [None] * len(pairs)
        for row, image in zip(finite, self._decode([latents[row] for row in finite]), strict=True):
            images[row] = image
        return images

    def _spent(self, before: Counts) -> dict[str, float]:
        """Counts of one shard; of what is a peak, the peak so far."""
        now = self.pipe.counts
        return {
            "unet_evaluations": now.unet_evaluations - before.unet_evaluations,
            "inversions": now.inversions - before.inversions,
            "inversions_reused": now.inversions_reused - before.inversions_reused,
            "batch_halvings": now.batch_halvings - before.batch_halvings,
            "peak_feature_bytes": now.peak_feature_bytes,
        }

    def _decode(self, latents: list[torch.Tensor]) -> list[Image.Image | None]:
        """Pictures of latents, None where the autoencoder gave values that are no numbers."""
        try:
            return list(self.pipe.decode(latents))
        except RowError:
            return [None] if len(latents) == 1 else [self._decode([z])[0] for z in latents]

    def _params(self, pair: dict[str, Any]) -> Any:
        own = {name: pair[name] for name in ("gamma", "temperature") if pair[name] is not None}
        return self.params.model_copy(update=own)


def _pixel_key(row: dict[str, Any]) -> str:
    """Equal for equal pictures, wherever they lie."""
    return hashlib.blake2b(row["pixels"], digest_size=16).hexdigest()


def _image(row: dict[str, Any]) -> Image.Image:
    return Image.frombytes("RGB", (row["width"], row["height"]), row["pixels"])


def _result(image: Image.Image | None) -> dict[str, Any]:
    if image is None:
        return {
            "stage": "stylize",
            "error": "NonFiniteResult",
            "message": NOT_FINITE,
        }
    return {
        "pixels": np.asarray(image).tobytes(),
        "width": image.width,
        "height": image.height,
    }
