"""The pictures of `styleid-ray demo`, drawn once and stored in the package.

python -m demo_model.inputs
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from demo_model.drawing import draw_content, draw_style
from styleid_ray.demo import INPUTS, SIZE

CONTENTS = {"lake": 18, "town": 8, "flowers": 9}
STYLES = {"swirls": 24, "woodcut": 4, "oil": 14, "glass": 17}
"""Seeds of the drawn pictures, by their file names."""


def demo_inputs() -> Iterator[tuple[str, Image.Image]]:
    """Name below `INPUTS` and picture, one after the other."""
    for role, seeds, draw in (("content", CONTENTS, draw_content), ("style", STYLES, draw_style)):
        for name, seed in seeds.items():
            yield f"{role}/{name}.png", draw(seed, SIZE)


if __name__ == "__main__":
    for name, picture in demo_inputs():
        (INPUTS / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(INPUTS / name, optimize=True)
