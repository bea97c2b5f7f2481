"""The model that ships: loads fast and offline, is small, and its codec sees photographs well."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from demo_model.drawing import draw_content, draw_style
from demo_model.measure import measure_codec, measure_likeness, square
from demo_model.unet import build_scheduler
from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.model.checkpoint import EMBEDDED_MODEL as DEMO_MODEL


@pytest.fixture(scope="module")
def pipe() -> StyleIDPipeline:
    return StyleIDPipeline.from_pretrained("demo", device="cpu")


def test_it_loads_in_under_five_seconds_without_network() -> None:
    code = (
        "import socket, sys, time\n"
        "import torch, diffusers\n"
        "from styleid_ray.engine.pipeline import StyleIDPipeline\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "start = time.process_time()\n"
        "StyleIDPipeline.from_pretrained('demo', device='cpu')\n"
        "sys.exit(time.process_time() - start > 5)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_weights_are_small_float16_safetensors() -> None:
    weights = list(DEMO_MODEL.rglob("*.safetensors"))
    assert {p.parent.name for p in weights} == {"unet", "vae", DEMO_MODEL.name}
    assert sum(p.stat().st_size for p in weights) < 25_000_000
    assert not list(DEMO_MODEL.rglob("*.bin"))


def test_its_noise_schedule_is_that_of_stable_diffusion() -> None:
    config = json.loads((DEMO_MODEL / "scheduler/scheduler_config.json").read_text())
    expected = dict(build_scheduler().config)
    assert config["beta_start"] == expected["beta_start"] == 0.00085
    assert config["beta_end"] == 0.012
    assert config["prediction_type"] == "epsilon"


def test_no_file_names_the_machine_that_trained_it() -> None:
    for path in [*DEMO_MODEL.rglob("*.json"), *DEMO_MODEL.rglob("*.md")]:
        assert "/tmp" not in path.read_text()
        assert "_name_or_path" not in path.read_text()


def test_its_codec_beats_principal_components_on_photographs(pipe: StyleIDPipeline) -> None:
    data = pytest.importorskip("skimage.data")
    photos = [square(Image.fromarray(getattr(data, n)())) for n in ("astronaut", "chelsea")]
    result = measure_codec(pipe.vae, photos)
    assert result["codec"] > result["principal components"]
    assert result["codec"] > 25.0


def test_its_latents_have_about_unit_variance(pipe: StyleIDPipeline) -> None:
    z = torch.stack(pipe.encode([draw_content(k) for k in range(4)]))
    assert 0.5 < float(z.std()) < 1.6


def test_scenes_take_on_the_colours_of_a_painting_and_keep_their_edges(
    pipe: StyleIDPipeline,
) -> None:
    contents, styles = [draw_content(8), draw_content(9)], [draw_style(14)]
    pictures = pipe(contents, styles, params=StyleParams(steps=30))
    result = measure_likeness(contents, styles, pictures)
    assert result["colour"] > 0.35
    assert result["edges"] > 0.5


@pytest.mark.parametrize(
    ("more", "less"),
    [({"gamma": 0.3}, {"gamma": 1.0}), ({"temperature": 2.0}, {"temperature": 1.0})],
)
def test_low_gamma_and_high_temperature_take_more_of_the_style_and_keep_less_of_the_content(
    pipe: StyleIDPipeline, more: dict[str, float], less: dict[str, float]
) -> None:
    contents = [draw_content(k, 128) for k in (1, 2)]
    styles = [draw_style(k, 128) for k in (2, 5)]

    def measured(settings: dict[str, float]) -> dict[str, float]:
        pictures = pipe(contents, styles, params=StyleParams(steps=12, **settings))
        return measure_likeness(contents, styles, pictures)

    strong, weak = measured(more), measured(less)
    assert strong["colour"] > weak["colour"]
    assert strong["texture"] > weak["texture"]
    assert strong["edges"] < weak["edges"]


def test_the_folder_has_a_model_card() -> None:
    card = Path(DEMO_MODEL / "README.md").read_text()
    assert "trained on" in card.lower()
    assert "not for" in card.lower()
