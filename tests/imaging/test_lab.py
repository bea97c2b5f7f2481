"""CIE L*a*b*, against scikit-image."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from styleid_ray.imaging.lab import lab


def test_lab_is_that_of_scikit_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_allclose(lab(pixels), rgb2lab(pixels), atol=0.02)
