"""The option `--method`: which others have an effect beside it, and what it changes."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from styleid_ray import JobConfig
from styleid_ray.config import PIXEL_METHODS, Method, StyleParams, flag
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config
from styleid_ray.methods import METHODS

BASE = {"content": "c", "style": "s", "output": "o"}
COMPARED = [method for method in get_args(Method) if method != "styleid"]


def test_every_method_has_a_name_and_a_source() -> None:
    assert [*METHODS] == [*get_args(Method)]
    assert METHODS["styleid"].citation.startswith("@")
    assert all(re.search(r"\(.* 20\d\d\)$", METHODS[method].sentence) for method in COMPARED)


@pytest.mark.parametrize("method", COMPARED)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("gamma", 0.5), ("steps", 10), ("layers", "6-8"), ("preset", "diffusers")),
        *(("inject", False), ("adain", 0.5), ("detail", 1), ("masks", "m"), ("features", "host")),
    ],
)
def test_options_of_styleid_are_refused_beside_another_method(
    method: Method, option: str, value: Any
) -> None:
    with pytest.raises(
        ConfigError, match=f"^--{option} has no effect with --method {method}: leave"
    ):
        make_config({**BASE, "method": method, option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("model", "demo"), ("revision", "main"), ("vae", "v"), ("dtype", "float16")),
        *(("device", "cuda"), ("num_gpus_per_actor", 1), ("accelerator_type", "A100")),
    ],
)
def test_options_of_models_and_gpus_are_refused_beside_a_colour_transfer(
    option: str, value: Any
) -> None:
    for method in PIXEL_METHODS:
        with pytest.raises(
            ConfigError, match=f"{flag(option)} has no effect with --method {method}"
        ):
            make_config({**BASE, "method": method, option: value})
    make_config({**BASE, "method": "latent-adain", option: value})


def test_several_options_without_an_effect_are_named_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^--steps, --gamma have no effect with --method mkl: "):
        make_config({**BASE, "method": "mkl", "gamma": 0.5, "steps": 10})


def test_any_method_accepts_the_option_for_the_cpu() -> None:
    for method in get_args(Method):
        assert make_config({**BASE, "method": method, "device": "cpu"}).on_cpu
    assert JobConfig(**BASE, method="mkl").on_cpu
    assert not JobConfig(**BASE, method="latent-adain").on_cpu


def test_a_method_other_than_styleid_is_part_of_the_identity() -> None:
    plain = JobConfig(**BASE)
    assert "method" not in plain.identity()
    assert plain.fingerprint() == JobConfig(**BASE, method="styleid").fingerprint()
    prints = {JobConfig(**BASE, method=method).fingerprint() for method in get_args(Method)}
    assert len(prints) == len(get_args(Method))


def test_the_identity_of_a_colour_transfer_has_neither_model_nor_parameters_of_styleid() -> None:
    identity = JobConfig(**BASE, method="mkl").identity()
    assert identity["method"] == "mkl"
    assert not identity.keys() & {"model", "dtype", "feature_dtype", *StyleParams.model_fields}
    latent = JobConfig(**BASE, method="latent-adain", vae="v").identity()
    assert latent.keys() & {"model", "vae", "dtype", "gamma"} == {"model", "vae", "dtype"}
