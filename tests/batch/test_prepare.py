"""A job takes what it leaves open from its model, and the model refuses what it cannot do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.begin import begin
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.identity import identity, with_stored
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run, find_run
from styleid_ray.batch.forecast import forecast
from styleid_ray.batch.prepare import model_of, prepare
from styleid_ray.errors import ConfigError, OutputError
from tests.families import save_sdxl

Job = Callable[..., JobConfig]


@pytest.fixture
def xl(job: Job, tmp_path: Path) -> Job:
    model = save_sdxl(tmp_path / "xl")

    def make(**options: Any) -> JobConfig:
        return job(**{"model": str(model), "size": None, "layers": None, **options})

    return make


def test_open_size_and_layers_are_the_models_defaults(xl: Job, job: Job) -> None:
    _, config = model_of(xl())
    assert config.layers == (9, 10, 11, 12, 13, 14)
    assert config.size == 512
    _, given = model_of(xl(layers="0-3", size=128))
    assert (given.layers, given.size) == ((0, 1, 2, 3), 128)
    _, paper = model_of(job(size=None, layers=None))
    assert (paper.layers, paper.size) == (None, 512)


def test_an_open_option_and_its_default_value_are_the_same_run(xl: Job) -> None:
    checkpoint, config = model_of(xl())
    _, given = model_of(xl(layers="9-14", size=512))
    assert identity(config, checkpoint) == identity(given, checkpoint)


def test_a_run_is_resumed_by_the_command_that_left_its_models_defaults_open(xl: Job) -> None:
    asked = xl()
    output = Output(asked.output)
    prepared = prepare(asked)
    begin_run(output, prepared, prepared.plan)
    assert find_run(output, asked)
    assert find_run(output, xl(layers="9-14"))
    with pytest.raises(OutputError, match=r"layers: the run has \[9, 10.*this command \[0, 1\]"):
        find_run(output, xl(layers="0,1"))
    with pytest.raises(OutputError, match="size: the run has 512, this command 128"):
        find_run(output, xl(size=128))


def test_values_by_layer_may_name_all_layers_of_a_model_that_has_others(xl: Job) -> None:
    _, config = model_of(xl(gamma="9-11=0.9,12-14=0.5"))
    assert config.unet_params is not None
    with pytest.raises(ConfigError, match="no value for layer"):
        model_of(xl(gamma="9-11=0.9"))


def test_a_tile_must_be_a_multiple_of_the_models_factor(xl: Job) -> None:
    model_of(xl(tile=128))
    with pytest.raises(ConfigError, match=r"--tile 90: .* needs a multiple of \d+"):
        model_of(xl(tile=90))


def test_tiles_that_no_picture_exceeds_change_nothing(xl: Job) -> None:
    checkpoint, plain = model_of(xl(size=128))
    _, tiled = model_of(xl(size=128, tile=128))
    assert identity(tiled, checkpoint) == identity(plain, checkpoint)
    _, cut = model_of(xl(size=256, tile=128))
    assert cut.tile == 128


def test_the_record_locates_a_models_folder_from_any_working_directory(
    xl: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = xl(model="xl")
    prepared = prepare(asked)
    output = Output(asked.output)
    begin_run(output, prepared, prepared.plan)
    assert output.existing_record()["config"]["model"] == str(tmp_path / "xl")
    monkeypatch.chdir("/")
    assert find_run(output, asked.model_copy(update={"model": str(tmp_path / "xl")}))


def test_a_plan_counts_the_windows_of_large_pictures(xl: Job) -> None:
    whole, tiled = prepare(xl(size=256)), prepare(xl(size=256, tile=128))
    assert (len(whole.windows), len(tiled.windows)) == (1, 9)
    cost, more = (job.cost_of(job.plan) for job in (whole, tiled))
    added = more.unet_evaluations - cost.unet_evaluations
    assert added == 8 * (2 * cost.content_inversions + cost.pairs)


def test_options_without_effect_on_the_pairs_are_noted(job: Job) -> None:
    given = {"styles_per_content": 2, "seed": 3}
    assert prepare(job(**given)).notes == [
        "--styles-per-content 2 has no effect with --pairing cross",
        "--seed 3 has no effect in this job, which draws nothing",
    ]
    assert not prepare(job(**given, pairing="random")).notes
    assert not prepare(job(seed=3, gamma="0.5..0.9")).notes


def test_a_job_with_values_by_layer_begins_and_is_planned_at_its_models_size(xl: Job) -> None:
    asked = xl(gamma="9-14=0.7", shard_pairs=3)
    out = io.StringIO()
    begun = begin(Output(asked.output), asked, lambda shards: Resources(1, 1, 0, 1), out)
    assert begun.config.layers == (9, 10, 11, 12, 13, 14)
    planned = forecast(asked).as_text()
    line = f"in {planned['shards']} shards: {planned['UNet evaluations']} UNet"
    assert line in out.getvalue()


def test_a_run_from_before_models_had_own_sizes_resumes_at_512(job: Job) -> None:
    asked = job(size=None)
    assert with_stored(asked, {"identity": {}, "model": {}}).size == 512
    later = {"identity": {}, "model": {"size": 768, "layers": [1, 2]}}
    assert with_stored(asked, later).size == 768
    assert with_stored(asked, later).layers == (1, 2)
    assert with_stored(job(size=256, layers="7"), later).style_params.layers == (7,)
