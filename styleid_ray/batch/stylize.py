"""The stylize stage: an actor that holds the model and turns loaded shards into pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from styleid_ray.batch.shard import RESULTS, Shard, each_shard
from styleid_ray.config import JobConfig
from styleid_ray.engine.pipeline import StyleIDPipeline


class Stylize:
    """Loaded shards to shards with results. One instance is one Ray actor.

    Args:
        config: the job.
        revision: the commit that the hub model was resolved to.
        threads: CPU threads to compute with.
    """

    def __init__(self, config: JobConfig, revision: str | None, threads: int) -> None:
        torch.set_num_threads(threads)
        self.params = config.style_params
        self.pipe = StyleIDPipeline.from_pretrained(
            config.model, revision, config.dtype, config.device, batch_size=config.batch
        )

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        return each_shard(block, self.stylize)

    def stylize(self, shard: Shard) -> Shard:
        """The shard's pairs stylised together; a pair that cannot be has its reason instead."""
        began, spent = time.perf_counter(), self.pipe.unet_evaluations
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
        return replace(
            shard,
            pictures=shard.pictures.slice(0, 0),  # not needed any more: the row travels lighter
            results=pa.Table.from_pylist(results, schema=RESULTS),
        ).measured(stylize_seconds=seconds, unet_evaluations=self.pipe.unet_evaluations - spent)

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
        )
        finite = [row for row, z in enumerate(latents) if bool(torch.isfinite(z).all())]
        images: list[Image.Image | None] = [None] * len(pairs)
        for row, image in zip(
            finite, self.pipe.decode([latents[row] for row in finite]), strict=True
        ):
            images[row] = image
        return images

    def _params(self, pair: dict[str, Any]) -> Any:
        own = {name: pair[name] for name in ("gamma", "temperature") if pair[name] is not None}
        return self.params.model_copy(update=own)


def _image(row: dict[str, Any]) -> Image.Image:
    return Image.frombytes("RGB", (row["width"], row["height"]), row["pixels"])


def _result(image: Image.Image | None) -> dict[str, Any]:
    if image is None:
        return {
            "stage": "stylize",
            "error": "NonFiniteResult",
            "message": "the model gave values that are no numbers; try --dtype bfloat16 or float32",
        }
    return {
        "pixels": np.asarray(image).tobytes(),
        "width": image.width,
        "height": image.height,
    }
