from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from styleid_ray import JobConfig, StyleParams
from styleid_ray.config import changes
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import load_job_file, make_config

BASE = {"content": "c", "style": "s", "output": "o"}


def test_presets_fill_in_what_is_not_given() -> None:
    paper = StyleParams().resolved()
    assert (paper.steps, paper.gamma, paper.temperature) == (50, 0.75, 1.5)
    assert paper.layers == (6, 7, 8, 9, 10, 11)
    port = StyleParams(preset="diffusers", gamma=0.3).resolved()
    assert (port.steps, port.gamma, port.layers) == (20, 0.3, (7, 8, 9, 10, 11))


@pytest.mark.parametrize(
    ("text", "layers"), [("6-11", (6, 7, 8, 9, 10, 11)), ("9, 7", (7, 9)), ("3-4,8", (3, 4, 8))]
)
def test_layers_are_written_as_ranges_and_lists(text: str, layers: tuple[int, ...]) -> None:
    assert StyleParams(layers=text).layers == layers  # pyright: ignore


@pytest.mark.parametrize(
    "options",
    [
        {"gamma": 1.5},
        {"temperature": 0},
        {"steps": 1},
        {"layers": "7,7"},
        {"layers": "six"},
        {"layers": ()},
        {"size": 10},
        {"actors": "3,2"},
        {"actors": "0"},
        {"pairing": "table"},
        {"table": "t.csv"},
        {"reuse": True},
        {"reuse": True, "pairing": "random"},
        {"shard_pairs": 0},
        {"content": None},
        {"nonsense": 1},
    ],
)
def test_every_option_is_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobConfig(**{**BASE, **options})


def test_a_wrong_option_is_named_as_it_is_typed() -> None:
    with pytest.raises(ConfigError, match=r"^--num-gpus-per-actor: .*greater than or equal to 0"):
        make_config({**BASE, "num_gpus_per_actor": -1})
    with pytest.raises(ConfigError, match="--output is missing"):
        make_config({"content": "c", "style": "s"})


@pytest.mark.parametrize(("given", "pool"), [("4", (4, 4)), ("1, 8", (1, 8)), (3, (3, 3))])
def test_actors_are_one_number_or_two(given: Any, pool: tuple[int, int]) -> None:
    assert JobConfig(**BASE, actors=given).actors == pool


def test_lora_files_are_one_text_or_a_list_and_no_part_of_a_run_without_them() -> None:
    files = ("ink.safetensors:0.5", "wash.safetensors")
    for given in (", ".join(files), list(files), [",".join(files)]):
        assert JobConfig(**BASE, lora=given).lora == files
    assert "lora" not in JobConfig(**BASE).identity()
    for empty in ("", [""], " , "):
        with pytest.raises(ValidationError, match="name at least one file, or leave it out"):
            JobConfig(**BASE, lora=empty)
    with pytest.raises(ValidationError, match=r"must be files such as .ink\.safetensors:0\.8"):
        JobConfig(**BASE, lora={"ink.safetensors": 0.5})
    with pytest.raises(ValidationError, match="--lora has no effect with --method reinhard"):
        JobConfig(**BASE, lora="ink.safetensors", method="reinhard")


def test_the_fingerprint_changes_with_the_pictures_and_not_with_the_cluster() -> None:
    one = JobConfig(**BASE).fingerprint()
    assert one == JobConfig(**{**BASE, "output": "p", "content": "moved"}, actors=4).fingerprint()
    assert one == JobConfig(**BASE, gamma=0.75).fingerprint()
    assert one != JobConfig(**BASE, gamma=0.7).fingerprint()
    assert one != JobConfig(**BASE, size=256).fingerprint()


def test_samples_are_logged_only_with_a_tracker() -> None:
    with pytest.raises(ConfigError, match="--log-samples has no effect without --log-to"):
        make_config({**BASE, "log_samples": 5})
    assert make_config({**BASE, "log_samples": 5, "log_to": "wandb"}).log_samples == 5


def test_every_option_says_what_it_changes() -> None:
    kinds = {name: changes(name) for name in JobConfig.model_fields}
    assert set(kinds.values()) == {"picture", "pairs", "encoding", "nothing"}
    assert [name for name, kind in kinds.items() if kind == "pairs"] == [
        *("splits", "share_styles", "style_share", "pairing"),
        *("styles_per_content", "variants", "style_classes", "class_column", "seed", "reuse"),
    ]


@pytest.mark.parametrize(
    ("job", "idle"),
    [
        ({}, {"seed": 3}),
        ({}, {"styles_per_content": 2}),
        ({}, {"quality": 50}),
        ({"inject": False}, {"gamma": 0.1, "temperature": 2.0, "layers": "7-8"}),
        ({"inject": False}, {"feature_dtype": "int8"}),
        ({}, {"max_pixels": 5, "shard_pairs": 1, "extend": True, "revision": "main"}),
    ],
)
def test_an_option_without_effect_in_a_job_is_no_part_of_its_identity(
    job: dict[str, Any], idle: dict[str, Any]
) -> None:
    assert JobConfig(**BASE, **job).identity() == JobConfig(**BASE, **job, **idle).identity()


@pytest.mark.parametrize(
    ("job", "option"),
    [
        ({"pairing": "random"}, {"seed": 3}),
        ({"picture_format": "jpeg"}, {"quality": 50}),
        ({}, {"feature_dtype": "int8"}),
        ({}, {"dtype": "bfloat16"}),
    ],
)
def test_the_same_option_where_it_has_effect_is_part_of_the_identity(
    job: dict[str, Any], option: dict[str, Any]
) -> None:
    assert JobConfig(**BASE, **job).identity() != JobConfig(**BASE, **job, **option).identity()


def test_a_job_file_gives_options_by_their_names(tmp_path: Any) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("content: c\nstyle: s\noutput: o\nshard-pairs: 3\nlayers: 6-7\n")
    config = make_config(load_job_file(str(file)))
    assert (config.shard_pairs, config.layers) == (3, (6, 7))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contents: c\n", "has the unknown key contents; did you mean content\\?"),
        ("size: 64\nsteps: 2\nsize: 128\n", "has the key size twice"),
        ("shard-pairs: 3\nshard_pairs: 4\n", "has the key shard_pairs twice"),
        ("- a\n", "must be a mapping"),
        ("a: [\n", "not valid YAML"),
        ("a: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_a_wrong_job_file_is_one_clear_error(tmp_path: Any, text: str, said: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_job_file(str(file))


@pytest.mark.parametrize("text", ["storage_options: {key: k3y, x: [", "size: !!int k3y", "k3y: *k"])
def test_what_is_wrong_with_a_job_file_is_said_without_its_text(tmp_path: Any, text: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML: ") as caught:
        load_job_file(str(file))
    assert "k3y" not in str(caught.value)


def test_a_job_file_that_is_not_there_is_one_clear_error(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_job_file(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "abc"}, "--size: must be a whole number (got 'abc')"),
        ({"batch": "many"}, "--batch: must be a whole number or auto (got 'many')"),
        ({"device": "gpu"}, "must be auto, cpu or cuda (got 'gpu'); did you mean cuda?"),
        ({"pairing": "crss"}, "or table (got 'crss'); did you mean cross?"),
        ({"picture_format": "tiff"}, "--picture-format: must be png, jpeg or webp (got 'tiff')"),
        ({"layers": [7, "x"]}, "--layers: must be a whole number (got 'x')"),
        ({"layers": "six"}, "--layers: must be layers such as 6-11 or 6,7,8 (got 'six')"),
        ({"actors": "1,2,3"}, "--actors: must be written as MIN,MAX (got ['1', '2', '3'])"),
        ({"masks": ""}, "--masks is empty: give it a value, or leave it out"),
        ({"sede": 3}, "--sede is not an option; did you mean seed?"),
    ],
)
def test_a_wrong_value_is_one_line_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({**BASE, **options})
    assert str(caught.value).endswith(message)


def test_one_layer_may_be_a_number() -> None:
    assert JobConfig(**BASE, layers=7).layers == (7,)  # pyright: ignore


def test_options_typed_as_texts_are_those_of_a_job_file() -> None:
    typed = {"size": "256", "batch": "4", "grow": "1.5", "seed": "3", "adain": "0.5"}
    given = {"size": 256, "batch": 4, "grow": 1.5, "seed": 3, "adain": 0.5}
    assert make_config({**BASE, **typed}) == make_config({**BASE, **given})


def test_storage_options_are_read_from_json_and_shown_nowhere() -> None:
    config = make_config({**BASE, "storage_options": '{"key": "hidden"}'})
    assert config.storage_options == {"key": "hidden"}
    assert "hidden" not in repr(config) + str(config.model_dump()) + config.model_dump_json()
    assert "storage_options" not in config.identity()
    for wrong in ('{"key": "hidden"', '["hidden"]', 3):
        with pytest.raises(
            ConfigError, match=r"--storage-options: must be a JSON object"
        ) as caught:
            make_config({**BASE, "storage_options": wrong})
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "bound"), [("5", "5"), (0, "0"), (" 2.5 % ", "2.5%"), ("100%", "100%")]
)
def test_a_bound_on_failures_is_a_number_or_a_percentage(given: Any, bound: str) -> None:
    assert JobConfig(**BASE, max_failures=given).max_failures == bound


@pytest.mark.parametrize("given", ["many", "-1", "2.5", "101%", "%", "", True])
def test_another_bound_on_failures_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="--max-failures: "):
        make_config({**BASE, "max_failures": given})


@pytest.mark.parametrize(("word", "value"), [("on", "on"), ("off", "off"), ("auto", "auto")])
def test_on_and_off_in_a_job_file_are_words_though_yaml_reads_them_as_true_and_false(
    tmp_path: Any, word: str, value: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"content: c\nstyle: s\noutput: o\ncompile: {word}\n")
    assert make_config(load_job_file(str(file))).compile == value


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({}, "badcea5409b38783"),
        (
            {"preset": "diffusers", "layers": (7, 8), "picture_format": "jpeg", "quality": 90},
            "f373d4934ca378ad",
        ),
        (
            {"pairing": "random", "styles_per_content": 3, "reuse": True, "gamma": "0.5..0.9"},
            "83db9a59677249e6",
        ),
        ({"method": "reinhard"}, "d20a8c5003376098"),
        (
            {"model": "demo", "size": 256, "detail": 0.5, "vae_tile": 512, "masks": "m"},
            "b54be841ebdce640",
        ),
    ],
)
def test_runs_of_earlier_versions_are_known_by_the_same_fingerprint(
    options: dict[str, Any], fingerprint: str
) -> None:
    assert JobConfig(**{**BASE, **options}).fingerprint() == fingerprint
