"""The lines of `styleid-ray plan` on GPUs of the usual sizes."""

from __future__ import annotations

import pytest

from styleid_ray.planning.gpus import GPUS, Demand, GpuFit, gpu_fits

GB = 10**9


def demand(**changed: float) -> Demand:
    """A job of a model of 5 GB."""
    numbers = {
        "weights": 5,
        "evaluation": 0.2,
        "recorded": 0.1,
        "streamed": 0.1,
        "vae": 4,
        "features": 20,
        "pictures": 0.2,
    }
    numbers |= changed
    tiled = {512: GB, 256: GB // 4}
    return Demand(size=1024, tiled=tiled, **{name: int(x * GB) for name, x in numbers.items()})


def by_gb(wanted: Demand, batch: int = 16, **options: object) -> dict[int, GpuFit]:
    fits = gpu_fits(wanted, batch, **options)  # pyright: ignore[reportArgumentType]
    return {fit.gb: fit for fit in fits}


def test_features_stay_on_the_device_where_they_fit_beside_the_work() -> None:
    found = by_gb(demand())
    assert [found[gb].features for gb in GPUS] == ["host"] * 4 + ["device"] * 2
    assert found[24].as_text() == "batch 16, features on the host (18.8 GiB)"
    assert found[40].as_text() == "batch 16, features on the device"


def test_a_small_gpu_gets_a_smaller_batch_and_tiles_of_the_autoencoder() -> None:
    fit = by_gb(demand())[8]
    assert (fit.batch, fit.vae_tile, fit.size) == (4, 512, None)
    assert fit.as_text().endswith("needs --vae-tile 512")


def test_a_gpu_too_small_for_one_latent_gets_the_largest_size_that_fits() -> None:
    fit = by_gb(demand(evaluation=6))[8]
    assert (fit.batch, fit.features, fit.size) == (0, None, 576)
    assert fit.as_text() == "too small: --size 576 fits"
    smaller = demand(evaluation=6).at(576)
    assert by_gb(smaller)[8].batch == 1
    tiled = by_gb(demand(evaluation=6, vae=20))[8]
    assert tiled.as_text() == "too small: --size 576 with --vae-tile 512 fits"
    assert by_gb(demand(weights=9))[8].as_text() == "the model does not fit"


def test_actors_that_share_a_gpu_have_a_part_of_its_memory() -> None:
    assert by_gb(demand(), share=0.5)[80].features == by_gb(demand())[40].features
    assert by_gb(demand(), share=0.25)[16].batch == 0


def test_a_store_set_by_the_job_is_kept() -> None:
    assert {fit.features for fit in gpu_fits(demand(), 16, "host")} == {"host"}
    found = by_gb(demand(), store="device")
    assert found[16].again
    assert "inverted more than once" in found[16].as_text()
    assert not found[80].again


@pytest.mark.parametrize("batch", [1, 5, 16])
@pytest.mark.parametrize("evaluation", [0.05, 0.5, 3])
@pytest.mark.parametrize("features", [1, 15, 60])
def test_more_memory_never_fits_less(batch: int, evaluation: float, features: float) -> None:
    wanted = demand(evaluation=evaluation, features=features)
    fits = gpu_fits(wanted, batch)
    batches = [fit.batch for fit in fits]
    assert batches == sorted(batches)
    assert all(fit.device <= fit.gb * GB for fit in fits)
    tiles = [fit.vae_tile or 1024 for fit in fits if fit.batch]
    assert tiles == sorted(tiles)
    sizes = [fit.size or 0 for fit in fits if not fit.batch]
    assert sizes == sorted(sizes)
