"""Quality columns on a GPU that is not there: what they make of the host's time."""

from __future__ import annotations

import pytest
import torch

from styleid_ray.engine.structure import kept_structure
from styleid_ray.quality.columns import PIXEL_MEASURES
from styleid_ray.quality.pixels import measure, palette, small
from tests.fake_cuda.conftest import CUDA
from tests.fake_cuda.watch import Watch

pytestmark = pytest.mark.fake_cuda


def test_the_host_never_waits_for_the_device_to_measure_pictures(watch: Watch) -> None:
    pictures = torch.empty(3, 512, 640, 3, dtype=torch.uint8, device=CUDA)
    style = torch.empty(1, 384, 512, 3, dtype=torch.uint8, device=CUDA)
    q = torch.empty(3, 8, 5120, 40, dtype=torch.float16, device=CUDA)
    with watch:
        structure = kept_structure(q, q)
        palettes = [palette(small(style))[0]] * 3
        others = measure(pictures, pictures, palettes)
    assert (structure.shape, structure.device) == ((3,), CUDA)
    assert (others.shape, others.device) == ((3, len(PIXEL_MEASURES)), CUDA)
    assert not watch.waits
