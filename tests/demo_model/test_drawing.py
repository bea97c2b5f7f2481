"""Pictures drawn from seeds."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from demo_model.drawing import draw_content, draw_style
from demo_model.drawing.fields import fractal_noise
from demo_model.drawing.looks import LOOKS, random_look
from demo_model.drawing.scenes import SCENES, draw_scene, random_scene
from demo_model.inputs import demo_inputs
from demo_model.likeness import colour_distance, edge_correlation
from demo_model.pictures import draw_triple
from styleid_ray.demo import INPUTS


@pytest.mark.parametrize("draw", [draw_content, draw_style])
def test_a_seed_always_draws_the_same_picture_and_another_seed_another(draw) -> None:
    first, again, other = draw(5, 64), draw(5, 64), draw(6, 64)
    assert first.mode == "RGB"
    assert first.size == (64, 64)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("kind", list(SCENES))
def test_every_scene_has_contrast_and_finite_colours(kind: str) -> None:
    picture = draw_scene(kind, np.random.default_rng(3), 96)
    assert picture.shape == (96, 96, 3)
    assert np.isfinite(picture).all()
    assert picture.std() > 0.04


@pytest.mark.parametrize("name", list(LOOKS))
def test_every_look_changes_the_colours_and_leaves_the_scene_in_place(name: str) -> None:
    from demo_model.drawing.looks import named_look

    scene = draw_scene("still life", np.random.default_rng(1), 128)
    look = named_look(name, np.random.default_rng(2))
    painted = look.paint(scene, np.random.default_rng(3))
    assert painted.shape == scene.shape
    assert np.isfinite(painted).all()
    assert colour_distance(scene, painted) > 0.03
    assert edge_correlation(scene, painted, sigma=4.0) > 0.2


def test_many_random_scenes_and_looks_stay_finite_in_range() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        painted = random_look(rng).paint(random_scene(rng, 48), rng)
        assert np.isfinite(painted).all()
        assert 0.0 <= painted.min() <= painted.max() <= 1.0


def test_fractal_noise_has_the_spectrum_it_promises() -> None:
    noise = fractal_noise(np.random.default_rng(0), 256, slope=1.5)
    power = np.abs(np.fft.rfft2(noise)) ** 2
    f = np.hypot(np.fft.fftfreq(256)[:, None] * 256, np.fft.rfftfreq(256)[None] * 256)
    ring = (f > 3) & (f < 80)
    slope = np.polyfit(np.log(f[ring]), np.log(power[ring]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.15)


def test_a_triple_shows_one_scene_twice() -> None:
    content, style, target = draw_triple(4, 64).astype(np.float32) / 255
    assert edge_correlation(content, target, 4.0) > edge_correlation(style, target, 4.0)


def test_drawing_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from demo_model.drawing import draw_style; draw_style(0, 32);"
        "sys.exit(bool({'torch', 'ray', 'diffusers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_pictures_of_the_demo_are_stored_as_they_are_drawn() -> None:
    drawn = dict(demo_inputs())
    assert sorted(drawn) == sorted(str(p.relative_to(INPUTS)) for p in INPUTS.glob("*/*"))
    for name, picture in drawn.items():
        with Image.open(INPUTS / name) as stored:
            difference = np.abs(np.asarray(stored, float) - np.asarray(picture, float))
        # Another processor rounds a few values to the next grey level.
        assert difference.max() <= 1, name
        assert (difference > 0).mean() < 1e-3, name
