"""Memory of a shard's inverted pictures."""

from dataclasses import dataclass

from styleid_ray.model.footprint import PictureMemory

AUTO_BATCH = 16
"""Latents assumed for `--batch auto`, as for pictures of 512 px on a GPU."""


@dataclass(frozen=True)
class ShardMemory:
    """Bytes that the inversions of a shard take at the same time, by the place of features."""

    features: int
    """All features, on the device or the host, as --features says."""
    streamed: int
    """Features of two steps, on the device with --features host."""


def shard_memory(
    contents: int, styles: int, picture: PictureMemory, batch: int, steps: int
) -> ShardMemory:
    """Memory of a shard's inversions: the smaller side stays, and the other is streamed in
    micro-batches.

    Args:
        contents, styles: distinct pictures of the shard; no styles where they are not inverted.
        picture: memory of one picture.
        batch: most latents in one UNet call.
        steps: of the schedule.
    """
    if contents > styles:
        contents = min(contents, batch)
    else:
        styles = min(styles, batch)
    features = contents * picture.content + styles * picture.style
    return ShardMemory(features=features, streamed=2 * features // steps)


def held_features(contents: int, styles: int, picture: PictureMemory) -> int:
    """Bytes of features held at a time so that no picture of a shard is inverted twice: the smaller
    side, and two pictures of the other. Arguments as in `shard_memory`."""
    sides = (contents * picture.content, picture.content), (styles * picture.style, picture.style)
    (stays, _), (passing, each) = sorted(sides)
    return stays + min(passing, 2 * each)
