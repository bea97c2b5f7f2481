"""Training of the demo model, at its tiniest."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demo_model.codec import build_codec, decode, encode, start_linear
from demo_model.codec_training import Crops, normalise, psnr
from demo_model.pictures import draw_chunks, load_chunks
from demo_model.stages import RECIPES, Workshop
from demo_model.unet import SIZES, Denoiser
from demo_model.unet_training import (
    MixtureAttention,
    UNetSchedule,
    UNetTrainer,
    noised,
    style_strength,
)
from styleid_ray.engine.pipeline import StyleIDPipeline

SCHEDULE = UNetSchedule(steps=40, crops=((2, 8),), warmup=5, learning_rate=2e-3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one chunk of small drawn triples."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_chunks(folder, 1, 64, seed=0, workers=1)
    return folder


def new_trainer() -> UNetTrainer:
    torch.manual_seed(0)
    return UNetTrainer(Denoiser(SIZES["tiny"], 4), SCHEDULE, seed=0)


def test_training_reduces_the_loss_of_all_three_parts() -> None:
    trainer = new_trainer()
    triples = torch.randn(3, 1, 4, 1, 1).expand(3, 2, 4, 8, 8)
    first = trainer.train_step(triples, nullcontext)
    for _ in range(SCHEDULE.steps - 1):
        last = trainer.train_step(triples, nullcontext)
    assert last < 0.7 * first
    assert len(trainer.losses) == 3


def test_resumed_training_goes_on_exactly_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    triples = torch.randn(3, 2, 4, 8, 8)
    whole = new_trainer()
    for _ in range(3):
        whole.train_step(triples, nullcontext)
    whole.save(tmp_path / "state.pt")
    after = [whole.train_step(triples, nullcontext) for _ in range(3)]
    resumed = new_trainer()
    resumed.load(tmp_path / "state.pt")
    assert [resumed.train_step(triples, nullcontext) for _ in range(3)] == pytest.approx(after)
    for mean, other in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        torch.testing.assert_close(mean, other)


def test_the_noise_of_a_mixture_leads_to_its_target() -> None:
    triples = torch.randn(3, 2, 4, 8, 8)
    a, s = torch.full((2, 1, 1, 1), 0.6), torch.full((2, 1, 1, 1), 0.8)
    strength = torch.tensor([0.5, 1.0]).view(2, 1, 1, 1)
    x_t, noise = noised(triples, a, s, strength, torch.ones(2, 1, 1, 1))
    clean = (x_t - s.repeat(3, 1, 1, 1) * noise) / a.repeat(3, 1, 1, 1)
    content, style, painted = triples
    halfway = torch.stack([(content[0] + painted[0]) / 2, painted[1]])
    torch.testing.assert_close(clean, torch.cat([content, style, halfway]))


def test_a_target_is_nearer_to_the_style_the_lower_gamma_and_the_higher_the_temperature() -> None:
    gamma, temperature = torch.tensor([0.3, 0.75, 1.0]), torch.tensor([2.0, 1.5, 1.0])
    assert style_strength(gamma, torch.tensor(1.5)).diff().max() < 0
    assert style_strength(torch.tensor(0.75), temperature).diff().max() < 0


def test_mixtures_see_the_style_and_the_others_only_themselves() -> None:
    q, k, v = torch.randn(3, 3, 2, 5, 4)
    attend = MixtureAttention(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 1.5)).attend
    out = attend(q, k, v, 0.5)
    swapped = torch.cat([v[:1], v[1:2], torch.zeros_like(v[2:])])
    torch.testing.assert_close(out, attend(q, k, swapped, 0.5))
    weights = (q[0] @ k[1].transpose(-1, -2) * 0.75).softmax(-1)
    torch.testing.assert_close(out[2], weights @ v[1])


def test_the_codec_starts_near_its_linear_solution_with_latents_of_unit_size(
    pictures: Path,
) -> None:
    torch.manual_seed(0)
    x = Crops(load_chunks(pictures), 0).batch(24, 64)
    codec = build_codec(8, (16, 24, 32, 40)).eval()
    start_linear(codec, x)
    with torch.no_grad():
        before = decode(codec, encode(codec, x))
        normalise(codec, x)
        z = encode(codec, x)
        after = decode(codec, z)
    assert psnr(before, x) > 15.0
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(z.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3, rtol=1e-3)


def test_every_stage_runs_and_the_folder_it_writes_loads_as_a_model(tmp_path: Path) -> None:
    recipe = RECIPES["tiny"]
    quick = replace(
        recipe,
        codec=replace(recipe.codec, steps=2),
        decoder=replace(recipe.decoder, steps=2),
        schedule=replace(recipe.schedule, steps=3),
    )
    lines: list[str] = []
    shop = Workshop(tmp_path, quick, 0, torch.device("cpu"), lines.append)
    for stage in (shop.draw, shop.train_codec, shop.encode, shop.train_unet, shop.refine_decoder):
        stage()
    shop.export(tmp_path / "model")
    pipe = StyleIDPipeline.from_pretrained(str(tmp_path / "model"))
    assert pipe.unet.config.in_channels == 16
    assert str(tmp_path) not in (tmp_path / "model/vae/config.json").read_text()


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    recipe = replace(RECIPES["tiny"], schedule=replace(RECIPES["tiny"].schedule, steps=2))
    recipe = replace(recipe, codec=replace(recipe.codec, steps=1))
    lines: list[str] = []
    shop = Workshop(tmp_path, recipe, 0, torch.device("cpu"), lines.append)
    for stage in (shop.draw, shop.train_codec, shop.encode, shop.train_unet):
        stage()
    longer = replace(recipe, schedule=replace(recipe.schedule, steps=4))
    replace(shop, recipe=longer, resume=True).train_unet()
    state = torch.load(tmp_path / "unet.pt", weights_only=True)
    assert state["step"] == 4
