from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleid_ray import StyleIDPipeline


@pytest.fixture(scope="session")
def tiny_pipe(tiny_model: Path) -> StyleIDPipeline:
    """A pipeline of the smallest model, with layers 3-11; its pictures' sides are multiples of
    64."""
    return StyleIDPipeline.from_pretrained(str(tiny_model), device="cpu", compile=False)


def blocks(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    """A picture of a few coloured blocks."""
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
