"""The batch at which a device is fastest."""

from __future__ import annotations

import pytest

from styleid_ray.engine.throughput import Throughput, best_batch


@pytest.mark.parametrize(
    ("paces", "most", "batch"),
    [
        ({8: 1.0, 16: 0.5, 32: 0.4, 64: 0.2}, 64, 64),
        ({8: 1.0, 16: 0.5, 32: 0.495, 64: 0.1}, 64, 16),  # no gain: larger ones are not tried
        ({8: 1.0, 16: 0.5, 32: 0.4, 64: 0.2}, 10, 16),  # no more latents than that
        ({8: 1.0, 16: 0.5}, 64, 16),  # 32 do not fit
    ],
)
def test_the_batch_with_the_most_latents_per_second_is_taken(
    paces: dict[int, float], most: int, batch: int
) -> None:
    def seconds(size: int) -> float | None:
        return size * paces[size] if size in paces else None

    assert best_batch(seconds, most) == Throughput(batch, paces[batch])


def test_nothing_is_told_of_a_device_that_does_not_hold_the_smallest() -> None:
    assert best_batch(lambda size: None, 64) is None
