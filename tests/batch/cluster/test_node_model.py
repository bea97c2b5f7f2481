"""A model in an object store comes to a node once, whole, and at the revision of its job."""

from __future__ import annotations

import base64
import io
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as pads
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.cluster.node_model import find_model, model_on_node
from styleid_ray.batch.cluster.resources import choose_resources
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.pipeline import run_shards
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.run import retry, stylize
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError, JobError, ModelError
from tests.unreliable import Unreliable, unreliable

Job = Callable[..., JobConfig]
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Unreliable]:
    """A way to the S3 server that keeps account of what is asked for."""
    with unreliable(s3_endpoint, share=0) as made:
        yield made


@pytest.fixture
def config(job: Job, cache: Path, stored_model: str, proxy: Unreliable) -> JobConfig:
    """A job whose model comes through the proxy."""
    return job(model=stored_model, storage_options={"endpoint_url": proxy.address})


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def transfers(proxy: Unreliable, name: str) -> int:
    """How often a file was fetched."""
    return sum(get.partition("?")[0].endswith(f"/{name}") for get in proxy.gets)


def alter(model: str) -> None:
    """Other weights for the model at a URL."""
    import s3fs

    fs = s3fs.S3FileSystem()
    data: Any = fs.cat_file(f"{model}/{WEIGHTS}")
    fs.pipe_file(f"{model}/{WEIGHTS}", data[:-1] + bytes([data[-1] ^ 1]))


def test_checking_a_job_fetches_no_weights(config: JobConfig, proxy: Unreliable) -> None:
    found = find_model(config)
    assert found.config("unet")["_class_name"] == "UNet2DConditionModel"
    assert found.factor == 64
    assert not [get for get in proxy.gets if ".safetensors" in get]


def test_a_model_with_pickles_only_is_refused_by_its_names_alone(
    config: JobConfig, proxy: Unreliable
) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.mv(f"{config.model}/{WEIGHTS}", f"{config.model}/unet/diffusion_pytorch_model.bin")
    with pytest.raises(ModelError, match="convert it to safetensors"):
        find_model(config)
    assert not [get for get in proxy.gets if "list-type" not in get]


def test_the_url_of_a_single_file_is_refused_with_a_remedy(config: JobConfig) -> None:
    single = config.model_copy(update={"model": "https://me:secret@host/v1-5.safetensors"})
    with pytest.raises(ModelError, match="must have a local path: copy it") as error:
        find_model(single)
    assert "secret" not in str(error.value)


@pytest.mark.cluster
def test_one_of_two_simultaneous_processes_fetches_and_both_have_the_whole_model(
    config: JobConfig, proxy: Unreliable, cache: Path, tiny_model: Path
) -> None:
    both = threading.Event()

    def wait_for_both(path: str, data: bytes) -> bytes:
        """The first one has its weights when the second one has begun."""
        if sum("prefix=models%2Ftiny%2F&" in get for get in proxy.gets) >= 2:
            both.set()
        if path.endswith(WEIGHTS):
            assert both.wait(120)
        return data

    proxy.change = wait_for_both
    with ProcessPoolExecutor(2, SPAWN) as pool:
        found = list(pool.map(model_on_node, [config] * 2, [None] * 2))
    assert both.is_set()
    assert found[0] == found[1]
    for name, data in files_in(Path(found[0][0])).items():
        assert data == (tiny_model / name).read_bytes()
        assert transfers(proxy, name) == 1, name
    assert model_on_node(config, None) == found[0]
    assert transfers(proxy, WEIGHTS) == 1
    assert not list(cache.glob("*.part"))


@pytest.mark.cluster
def test_a_killed_fetch_leaves_nothing_that_looks_like_a_model(
    config: JobConfig, proxy: Unreliable, cache: Path, tiny_model: Path
) -> None:
    begun, killed = threading.Event(), threading.Event()

    def hold(path: str, data: bytes) -> bytes:
        if path.endswith(WEIGHTS):
            begun.set()
            killed.wait(120)
        return data

    proxy.change = hold
    process = SPAWN.Process(target=model_on_node, args=(config, None))
    process.start()
    assert begun.wait(120)
    process.kill()
    process.join()
    killed.set()
    assert [path.suffix for path in cache.iterdir() if path.is_dir()] == [".part"]

    folder = Path(model_on_node(config, None)[0])
    assert (folder / WEIGHTS).read_bytes() == (tiny_model / WEIGHTS).read_bytes()
    assert not list(cache.glob("*.part"))


def test_weights_in_several_files_come_together(job: Job, cache: Path, stored_model: str) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    one = Path(model_on_node(job(model=stored_model), None)[0])
    unet = UNet2DConditionModel.from_pretrained(one / "unet")
    unet.save_pretrained(cache / "parts" / "unet", max_shard_size="200KB")
    fs.rm(f"{stored_model}/unet", recursive=True)
    fs.put(str(cache / "parts" / "unet"), f"{stored_model}/unet", recursive=True)
    several = Path(model_on_node(job(model=stored_model), None)[0])
    assert len(list(several.glob("unet/*.safetensors"))) > 1
    again = UNet2DConditionModel.from_pretrained(several / "unet").state_dict()
    assert all(torch.equal(again[name], value) for name, value in unet.state_dict().items())


def test_a_model_that_lost_a_file_to_a_disk_cleaner_is_fetched_again(
    config: JobConfig, tiny_model: Path
) -> None:
    folder = Path(model_on_node(config, None)[0])
    whole = files_in(folder)
    (folder / WEIGHTS).unlink()
    assert model_on_node(config, None)[0] == str(folder)
    assert files_in(folder) == whole


def test_a_model_that_changes_while_it_is_fetched_is_refused(
    config: JobConfig, proxy: Unreliable, cache: Path
) -> None:
    def change_it(path: str, data: bytes) -> bytes:
        if path.endswith("/vae/config.json"):
            alter(config.model)
        return data

    proxy.change = change_it
    with pytest.raises(ModelError, match="changed while it was being fetched"):
        model_on_node(config, None)
    assert not [path for path in cache.iterdir() if path.is_dir() and path.suffix != ".part"]


def test_a_cache_that_cannot_be_written_is_named_with_the_variable_that_moves_it(
    config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STYLEID_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"file/models \(Not a directory\): .*STYLEID_RAY_CACHE"):
        find_model(config)


def pictures_by_pair(output: Path) -> dict[tuple[str, str], np.ndarray]:
    table = pads.dataset(output / "data", format="parquet").to_table(["content", "style", "image"])
    return {
        (row["content"], row["style"]): np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        for row in table.to_pylist()
    }


@pytest.fixture
def ray_here(cache: Path, s3: str) -> Iterator[None]:
    """A Ray whose workers have the environment of the test."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.cluster
def test_a_model_from_a_store_makes_the_same_pictures_as_on_disk(
    job: Job, pictures: Path, tiny_model: Path, config: JobConfig, ray_here: None
) -> None:
    stylize(job(model=str(tiny_model), output=str(pictures / "local")), io.StringIO())
    out = pictures / "out"
    assert stylize(config.model_copy(update={"actors": (2, 2)}), io.StringIO()).exit_status == 0
    expected, made = pictures_by_pair(pictures / "local"), pictures_by_pair(out)
    assert len(made) == 6
    assert made.keys() == expected.keys()
    assert all(np.abs(made[key].astype(int) - expected[key]).max() <= 1 for key in made)

    assert main(["status", str(out)]) == main(["verify", str(out)]) == 0
    said = io.StringIO()
    assert retry(stored_job(str(out), {}), said).exit_status == 0
    assert "nothing to retry" in said.getvalue()

    alter(config.model)
    assert stylize(config, io.StringIO()).exit_status == 0, "nothing to do needs no model"
    next((out / "data").iterdir()).unlink()
    with pytest.raises(ModelError, match="has changed since the job began"):
        stylize(config, io.StringIO())


@pytest.mark.cluster
def test_actors_refuse_a_model_that_changed_after_the_job_was_checked(
    config: JobConfig, ray_here: None
) -> None:
    checked, output = prepare(config), Output(config.output)
    begin_run(output, checked, checked.plan)
    alter(config.model)
    work = Tally.read(output).left()
    with pytest.raises(JobError, match="tiny has changed since the job began") as error:
        list(run_shards(checked, output, work, choose_resources(config, 3), 6))
    assert "\n" not in str(error.value)
    assert not output.files("data")


@pytest.fixture
def web_model(tiny_model: Path) -> Iterator[str]:
    """URL, with a password in it, of the tiny model on a web server that wants the password."""
    credentials = "Basic " + base64.b64encode(b"me:pa55word").decode()

    class Handler(SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            if self.headers.get("Authorization") == credentials:
                return super().send_head()
            return self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tiny_model.parent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://me:pa55word@127.0.0.1:{server.server_address[1]}/{tiny_model.name}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_comes_from_a_web_server_and_its_password_is_not_stored(
    job: Job, cache: Path, web_model: str, tiny_model: Path, pictures: Path
) -> None:
    checked = prepare(job(model=web_model))
    folder = Path(model_on_node(checked.config, checked.checkpoint.revision)[0])
    assert (folder / WEIGHTS).read_bytes() == (tiny_model / WEIGHTS).read_bytes()

    output = Output(checked.config.output)
    begin_run(output, checked, checked.plan)
    assert not [data for data in files_in(pictures / "out").values() if b"pa55word" in data]
    with pytest.raises(ConfigError, match="give --model again"):
        stored_job(output.url, {})
    again = prepare(stored_job(output.url, {"model": web_model}))
    assert again.fingerprint == checked.fingerprint
