"""Which command resumes a run, and which is refused and why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from styleid_ray import JobConfig
from styleid_ray.batch.folder.identity import with_precision, with_stored
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run, find_run
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.prepare import Prepared, prepare, resume
from styleid_ray.errors import ConfigError, OutputError, SourceError
from styleid_ray.model import vae as autoencoders
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.vae import Vae
from styleid_ray.planning import Pace
from tests.batch.conftest import draw
from tests.families import save_kl
from tests.lora import save_lora

Job = Callable[..., JobConfig]


def begin(config: JobConfig, gpus: float = 0) -> Prepared:
    job, output = prepare(with_precision(config, gpus)), Output(config.output)
    assert find_run(output, config) is None
    begin_run(output, job, job.plan)
    return job


def resumes(config: JobConfig) -> bool:
    return find_run(Output(config.output), config) is not None


def shards(output: Output) -> set[str]:
    return set().union(*Tally.read(output).parts.values())


def test_a_run_resumes_in_its_own_shards_with_other_shard_and_actor_options(job: Job) -> None:
    begun = begin(job(shard_pairs=2))
    for options in ({"shard_pairs": 200}, {"shard_pairs": 1}, {"actors": 4}, {"batch": 2}):
        assert resumes(job(**options))
    assert shards(Output(begun.config.output)) == set(begun.plan.table["shard"].to_pylist())
    assert begun.plan.shards == 3


@pytest.mark.parametrize(
    ("begun", "now"),
    [
        ({}, {"seed": 7}),
        ({}, {"quality": 50}),
        ({}, {"dtype": "float32"}),
        ({}, {"feature_dtype": "float32"}),
        ({"dtype": "float32"}, {}),
        ({}, {"max_pixels": 10**6, "max_bytes": 10**6}),
        ({"inject": False}, {"inject": False, "gamma": 0.1, "layers": (3, 4)}),
        ({"pairing": "random"}, {"pairing": "random", "shard_pairs": 1}),
    ],
)
def test_an_option_without_effect_in_the_run_does_not_prevent_resuming(
    job: Job, begun: dict[str, Any], now: dict[str, Any]
) -> None:
    begin(job(**begun))
    assert resumes(job(**now))


@pytest.mark.parametrize(
    ("begun", "now", "differing"),
    [
        ({}, {"gamma": 0.3}, r"gamma: the run has 0\.75, this command 0\.3"),
        ({}, {"dtype": "bfloat16"}, "dtype: the run has float32, this command bfloat16"),
        ({}, {"feature_dtype": "int8"}, "feature_dtype: the run has float32, this command int8"),
        ({"pairing": "random"}, {}, "pairing: the run has random, this command cross"),
        (
            {"pairing": "random"},
            {"pairing": "random", "seed": 3},
            "seed: the run has 0, this command 3",
        ),
        ({}, {"picture_format": "jpeg"}, "picture_format: the run has png, this command jpeg"),
        ({}, {"detail": 0.5}, r"detail: the run has 0\.0, this command 0\.5"),
        ({"low_frequency": 0.8}, {}, r"low_frequency: the run has 0\.8, this command 1\.0"),
        ({}, {"masks": "masks"}, "masks: the run has none, this command some"),
        ({}, {"vae": "someone/kl"}, "vae: the run has none, this command kl"),
    ],
)
def test_only_options_that_change_the_output_are_refused_and_named(
    job: Job, begun: dict[str, Any], now: dict[str, Any], differing: str
) -> None:
    begin(job(**begun))
    with pytest.raises(OutputError, match=rf"with other options \({differing}\): use the same"):
        resumes(job(**now))


def test_a_run_with_pictures_in_its_shards_says_how_to_load_it(job: Job, tmp_path: Path) -> None:
    begin(job())
    begin(job(output=str(tmp_path / "beside"), format="files"))
    assert "data_files: data/*.parquet" in Output(job().output).read("README.md").decode()
    assert not (tmp_path / "beside" / "README.md").exists()


def test_auto_is_the_precision_at_the_beginning_of_the_run(job: Job) -> None:
    begin(job(), gpus=1)
    record = Output(job().output).existing_record()
    assert (record["identity"]["dtype"], record["identity"]["feature_dtype"]) == ("float16",) * 2
    config = with_stored(job(), record)
    assert (config.dtype, config.feature_dtype) == ("float16", "float16")
    with pytest.raises(OutputError, match="dtype: the run has float16, this command float32"):
        resumes(job(dtype="float32"))


def test_a_gpu_that_is_only_reserved_does_not_change_the_cpus_precision(job: Job) -> None:
    assert with_precision(job(device="cpu"), gpus=1).dtype == "float32"


def test_an_interrupted_beginning_leaves_nothing_in_the_plan(job: Job) -> None:
    config = job(shard_pairs=1)
    begun, output = begin(config), Output(config.output)
    part = output.read_table("_run/plan/part-00000.parquet")
    output.write_table("_run/plan/part-00001.parquet", part)
    output.delete("_run/config.yaml")
    begin(config)
    assert list(Tally.read(output).parts) == ["_run/plan/part-00000.parquet"]
    assert shards(output) == set(begun.plan.table["shard"].to_pylist())


def test_a_run_that_another_driver_began_meanwhile_is_joined_or_refused(job: Job) -> None:
    first, same, other = (
        prepare(job(shard_pairs=n, gamma=gamma)) for n, gamma in ((1, 0.5), (2, 0.5), (2, 0.25))
    )
    output = Output(first.config.output)
    begin_run(output, first, first.plan)
    begin_run(output, same, same.plan)
    with pytest.raises(
        OutputError, match=r"other options \(gamma: the run has 0\.5, this command 0\.25\)"
    ):
        begin_run(output, other, other.plan)
    assert len(shards(output)) == first.plan.shards != same.plan.shards


def test_another_model_under_the_same_name_is_refused_when_there_is_work(
    job: Job, tiny_model: Path
) -> None:
    config = job(model=str(tiny_model))
    begin(config)
    output = Output(config.output)
    record = output.existing_record()
    resumed = resume(output, config)
    assert (resumed.contents.root, resumed.contents.keys) == (config.content, ())
    record["identity"]["model"] = f"{tiny_model.name} 0123456789abcdef"
    output.write("_run/config.yaml", yaml.safe_dump(record).encode())
    assert resumes(config)
    with pytest.raises(
        OutputError, match=r"with another model .the run has tiny 0123456789abcdef,"
    ):
        resume(output, config)
    with pytest.raises(OutputError, match="model: the run has tiny, this command demo"):
        resumes(job(model="demo"))


def test_another_autoencoder_makes_other_pairs_and_is_refused_in_a_run_without_it(
    job: Job, tiny_model: Path, tmp_path: Path
) -> None:
    first, other = (save_kl(tmp_path / name / "kl", seed=seed) for seed, name in enumerate("ab", 1))
    plain = prepare(job(model=str(tiny_model)))
    config = job(model=str(tiny_model), vae=str(first))
    begun = begin(config)
    assert begun.checkpoint.fingerprint == plain.checkpoint.fingerprint
    assert not set(begun.named.ids) & set(plain.named.ids)
    output = Output(config.output)
    record = output.existing_record()
    assert record["vae"]["name"] == record["config"]["vae"] == str(first)
    moved = first.rename(tmp_path / "kl")
    resumed = job(model=str(tiny_model), vae=str(moved))
    assert resumes(resumed)
    assert resume(output, resumed).pinned.vae == str(moved)
    with pytest.raises(
        OutputError, match=r"with another autoencoder .the run has kl \w+, this command kl \w+"
    ):
        resume(output, job(model=str(tiny_model), vae=str(other)))
    with pytest.raises(OutputError, match="vae: the run has kl, this command none"):
        resumes(job(model=str(tiny_model)))


def test_lora_weights_make_other_pairs_and_are_known_by_name_weight_and_contents(
    job: Job, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_lora(tiny_model, tmp_path / "a" / "ink.safetensors")
    other = save_lora(tiny_model, tmp_path / "b" / "ink.safetensors", seed=6)
    monkeypatch.chdir(first.parent)
    plain = prepare(job(model=str(tiny_model)))
    begun = begin(job(model=str(tiny_model), lora="ink.safetensors:0.5"))
    assert not set(begun.named.ids) & set(plain.named.ids)
    output = Output(begun.config.output)
    assert stored_job(output.url, {}).lora == (f"{first}:0.5",)
    moved = Path(shutil.copy(first, tmp_path / "ink.safetensors"))
    resumed = job(model=str(tiny_model), lora=f"{moved}:.5")
    assert resumes(resumed)
    assert resume(output, resumed).pinned.lora == (f"{moved}:0.5",)
    with pytest.raises(
        OutputError, match=r"with another LoRA .the run has .*ink\.safetensors:0\.5"
    ):
        resume(output, job(model=str(tiny_model), lora=f"{other}:0.5"))
    for lora in ((), f"{first}:0.6"):
        with pytest.raises(OutputError, match=r"lora: the run has .*ink\.safetensors:0\.5"):
            resumes(job(model=str(tiny_model), lora=lora))


def test_a_run_finds_its_masks_again_from_any_folder(job: Job, pictures: Path) -> None:
    for name in ("a.png", "b.png", "deep/a.png"):
        draw(pictures / "masks" / name, 7)
    config = job(masks=os.path.relpath(pictures / "masks"))
    begin(config)
    assert stored_job(config.output, {}).masks == str(pictures / "masks")
    assert resumes(job(masks=str(pictures / "elsewhere")))


def test_masks_that_lack_one_of_a_content_stop_the_job_before_it_begins(
    job: Job, pictures: Path
) -> None:
    draw(pictures / "masks" / "a.png", 7)
    with pytest.raises(SourceError, match=r"--masks: .* has no mask for b\.png, deep/a\.jpg:"):
        prepare(job(masks=str(pictures / "masks")))


def test_the_password_of_masks_is_not_stored_and_must_be_given_again(job: Job) -> None:
    config = job(masks="https://me:secret@host/masks")
    begin(config)
    assert "secret" not in Output(config.output).read("_run/config.yaml").decode()
    with pytest.raises(ConfigError, match="give --masks again"):
        stored_job(config.output, {})


def test_signed_label_masks_must_be_given_again_if_regions_read_them(
    tmp_path: Path,
) -> None:
    config = {"content": "c", "style": "s", "output": "o", "label_masks": "https://host/m?..."}
    regions = {"pairing": "table", "table": "t.csv", "region_styles": "1=style2"}
    rest = {"layout": 3, "model": {"revision": None}, "identity": {}, "plan": {}}
    output = Output(str(tmp_path))
    output.write("_run/config.yaml", yaml.safe_dump({**rest, "config": config}).encode())
    assert stored_job(str(tmp_path), {}).label_masks
    output.write("_run/config.yaml", yaml.safe_dump({**rest, "config": config | regions}).encode())
    with pytest.raises(ConfigError, match="give --label-masks again"):
        stored_job(str(tmp_path), {})


def test_an_autoencoder_of_a_branch_stays_at_the_commit_that_the_run_began_with(
    job: Job, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = save_kl(tmp_path / "kl"), list[str]()

    def find(vae: str, model: Checkpoint) -> Vae:
        asked.append(vae)
        names = tuple(path.name for path in folder.iterdir())
        revision = vae.partition("@")[2].replace("main", "1a2b")
        return Vae("someone/kl", revision, folder, "hub", names)

    monkeypatch.setattr(autoencoders, "find_vae", find)
    config = job(model=str(tiny_model), vae="someone/kl@main")
    begun, output = begin(config), Output(config.output)
    assert output.existing_record()["config"]["vae"] == "someone/kl@main"
    assert begun.pinned.vae == resume(output, config).pinned.vae == "someone/kl@1a2b"
    assert stored_job(config.output, {}).vae == "someone/kl@1a2b"
    assert asked == ["someone/kl@main", "someone/kl@1a2b"]


def test_the_record_has_the_layout_and_the_versions_it_was_made_with(job: Job) -> None:
    begun = begin(job())
    record = Output(begun.config.output).existing_record()
    assert record["layout"] == 3
    assert record["plan"] == {"pairs": 6, "shards": 3}
    assert record["model"]["fingerprint"] == begun.checkpoint.fingerprint
    assert record["fingerprint"] == begun.fingerprint
    assert record["versions"]["ray"]
    assert "extend" not in record["config"]


def test_reuse_makes_another_run_but_the_same_ids_for_the_same_pairs(job: Job) -> None:
    options = {"pairing": "random", "styles_per_content": 2}
    plain = begin(job(**options))
    reused = prepare(job(**options, reuse=True))
    ids = [set(one.plan.table["pair_id"].to_pylist()) for one in (plain, reused)]
    assert ids[0] == ids[1], "two of two styles are the same pairs"
    with pytest.raises(OutputError, match="reuse: the run has false, this command true"):
        resumes(reused.config)


def test_precision_and_encoding_are_not_part_of_a_pairs_id(job: Job) -> None:
    one, other = (
        prepare(job(**o)).plan.table["pair_id"].to_pylist()
        for o in ({}, {"dtype": "bfloat16", "picture_format": "jpeg", "quality": 5})
    )
    assert sorted(one) == sorted(other)


def test_several_actors_get_at_least_two_shards_each(job: Job) -> None:
    config = job(shard_pairs=200)
    named = prepare(config).named
    assert [named.cut(config, Pace(workers=n)).shards for n in (1, 3)] == [1, 6]
