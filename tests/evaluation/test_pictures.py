"""Pictures as the paper's evaluation reads them."""

from __future__ import annotations

import pytest
from PIL import Image

from styleid_ray.evaluation.pictures import as_tensor, at_512


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((256, 192), (682, 512)),
        ((192, 256), (512, 682)),
        ((512, 512), (512, 512)),
        ((1024, 1536), (512, 768)),
        ((3, 3), (512, 512)),
    ],
)
def test_the_shorter_side_becomes_512(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert at_512(Image.new("RGB", size)).size == resized


def test_pixels_are_channels_in_0_to_1() -> None:
    colour = as_tensor(Image.new("RGB", (3, 2), (255, 0, 51)))
    assert colour.shape == (3, 2, 3)
    assert colour[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert as_tensor(Image.new("L", (3, 2), 255)).shape == (1, 2, 3)
