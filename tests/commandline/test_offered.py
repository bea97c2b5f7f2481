from __future__ import annotations

import pytest

from styleid_ray.commandline.offered import RetryOptions, default_text, written


@pytest.mark.parametrize(
    ("option", "form"),
    [
        ("size", "N"),
        ("fit", "{keep,crop}"),
        ("export", "{imagefolder,coco,voc,yolo,webdataset,parquet}"),
        ("detail", "NUMBER"),
        ("num_gpus_per_actor", "NUMBER"),
        ("batch", "N|auto"),
        ("content", "URL"),
    ],
)
def test_help_shows_how_a_value_is_written(option: str, form: str) -> None:
    assert written(option) == form


@pytest.mark.parametrize(
    ("option", "default"),
    [
        ("detail", "0"),
        ("max_pixels", "200_000_000"),
        ("inject", "true"),
        ("size", ""),
        ("lora", ""),
    ],
)
def test_a_default_is_shown_as_it_is_typed(option: str, default: str) -> None:
    assert default_text(option) == default


def test_retry_takes_what_does_not_decide_which_pictures_a_run_has() -> None:
    assert {"actors", "model", "vae", "lora", "storage_options", "gamma"} <= {*RetryOptions.names}
    assert not {"output", "extend", "size", "seed", "pairing", "dtype"} & {*RetryOptions.names}
