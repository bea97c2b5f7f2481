"""Runs read back after somebody had a hand in them."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output, as_ids
from styleid_ray.batch.folder.readback import check_shard
from styleid_ray.batch.folder.verify import Verification, repair, verify
from styleid_ray.batch.run import stylize
from styleid_ray.cli import main
from tests.batch.conftest import draw
from tests.hostile.test_crash import BAD_DECODER

Job = Callable[..., JobConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Path:
    """Two finished runs of 6 pairs in 4 shards: parquet/ and files/."""
    root = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("content/a", "content/b", "content/c", "style/s", "style/t")):
        draw(root / f"{name}.png", seed)
    for kind in ("parquet", "files"):
        config = JobConfig(
            content=str(root / "content"),
            style=str(root / "style"),
            output=str(root / kind),
            method="reinhard",
            size=64,
            shard_pairs=2,
            format=kind,
        )
        stylize(config, io.StringIO())
    return root


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Path:
    """A copy of the run with pictures inside the shards."""
    return shutil.copytree(runs / "parquet", tmp_path / "run")


@pytest.fixture
def beside(runs: Path, tmp_path: Path) -> Path:
    """A copy of the run with pictures beside the shards."""
    return shutil.copytree(runs / "files", tmp_path / "beside")


def checked(run: Path) -> Verification:
    return verify(Output(str(run)), io.StringIO())


def shards(run: Path) -> list[Path]:
    return sorted((run / "data").glob("*.parquet"))


def harm(found: Verification) -> dict[str, int]:
    return {name: count for name, count in found.findings.items() if count}


def test_a_finished_run_is_sound_and_complete(run: Path, beside: Path) -> None:
    for there in (run, beside):
        found = checked(there)
        assert (found.planned, found.done, harm(found), found.exit_status) == (6, 6, {}, 0)


def test_a_removed_shard_leaves_a_sound_run_with_missing_pairs(run: Path) -> None:
    rows = pq.read_table(shards(run)[0]).num_rows
    shards(run)[0].unlink()
    found = checked(run)
    assert (harm(found), found.exit_status) == ({"missing": rows}, 1)


def test_a_truncated_shard_is_damage_and_repair_removes_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = shards(run)[1].read_bytes()
    shards(run)[1].write_bytes(whole[: len(whole) // 2])
    name = shards(run)[1].name
    assert main(["verify", str(run)]) == 2
    said = capsys.readouterr().out
    assert name in said
    assert "damaged: verify --repair" in said

    assert main(["verify", str(run), "--repair"]) == 2
    said = capsys.readouterr()
    assert f"removed data/{name}" in said.err
    assert main(["verify", str(run), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is True
    pairs = "1 pair" if found["missing"] == 1 else f"{found['missing']} pairs"
    last = said.out.splitlines()[-1]
    assert last == f"removed 1 shard with {pairs}; run the stylize command again to make them"
    assert "--repair" not in said.out


def test_a_copied_shard_is_recognised_by_its_name(run: Path) -> None:
    copy = run / "data" / "shard-zzzzzzzzzzzzzzzz.parquet"
    shutil.copy(shards(run)[0], copy)
    rows = pq.read_table(copy).num_rows
    found = checked(run)
    assert rows
    assert harm(found) == {"misnamed_files": 1}
    assert found.examples["misnamed_files"] == [f"data/{copy.name}"]
    assert repair(Output(str(run)), found) == [f"data/{copy.name}"]
    assert checked(run).exit_status == 0


def test_pairs_of_another_shard_are_unplanned_in_this_one_and_its_own_are_lost(run: Path) -> None:
    table = pq.read_table(shards(run)[0])
    ids = pa.array([f"{n:032x}" for n in range(table.num_rows)])
    pq.write_table(table.set_column(0, "pair_id", ids), shards(run)[0])
    found = checked(run)
    assert harm(found) == {"unplanned": table.num_rows, "lost": table.num_rows}
    assert found.exit_status == 2


def test_a_row_that_is_twice_or_missing_in_a_finished_shard_is_damage_that_repair_removes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubled, short = (pq.read_table(path) for path in shards(run)[:2])
    pq.write_table(pa.concat_tables([doubled, doubled.slice(0, 1)]), shards(run)[0])
    pq.write_table(short.slice(1), shards(run)[1])
    found = checked(run)
    assert harm(found) == {"doubled": 1, "lost": 1}
    assert shards(run)[0].name in found.examples["doubled"][0]
    assert len(repair(Output(str(run)), found)) == 2
    assert harm(checked(run)) == {"missing": doubled.num_rows + short.num_rows}


def test_rows_of_data_and_errors_together_are_the_pairs_of_a_shard(run: Path) -> None:
    table = pq.read_table(shards(run)[0])
    failed = pa.table({"pair_id": table["pair_id"].slice(0, 1)})
    Output(str(run)).write_table(f"errors/{shards(run)[0].name}", failed)
    assert harm(checked(run)) == {}, "a pair in both counts as done"
    pq.write_table(table.slice(1), shards(run)[0])
    assert harm(checked(run)) == {"failed": 1}


def test_repair_removes_a_shard_whose_errors_are_damaged(
    run: Path,
) -> None:
    name = shards(run)[0].name
    Output(str(run)).write(f"errors/{name}", b"PAR1 cut off")
    found = checked(run)
    assert harm(found) == {"damaged_files": 1}
    assert repair(Output(str(run)), found) == [f"data/{name}", f"errors/{name}"]
    assert checked(run).sound


def repaired(run: Path, tmp_path: Path, picture: bytes) -> subprocess.CompletedProcess[str]:
    """`verify --repair` of a run whose first shard has a picture that kills its decoder."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_DECODER)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    rewrite(run, lambda row: row["image"].update(bytes=picture))
    main = "import sys; from styleid_ray.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", main, "verify", str(run), "--repair"]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_shard_is_not_called_damaged_when_its_reader_is_stopped_from_outside(
    run: Path, tmp_path: Path
) -> None:
    read = repaired(run, tmp_path, b"STOP")
    assert "cannot be checked: reading it killed the process (SIGTERM)" in read.stderr
    assert read.returncode == 2
    assert shards(run)[0].exists()


def test_a_shard_with_a_picture_that_crashes_its_decoder_is_damaged_and_can_be_repaired(
    run: Path, tmp_path: Path
) -> None:
    file = shards(run)[0]
    read = repaired(run, tmp_path, b"CRASH")
    fault = "reading it killed the process (SIGSEGV)"
    assert f"damaged files: data/{file.name}: {fault}" in read.stdout, read.stderr
    assert read.returncode == 2
    assert not file.exists()
    assert checked(run).sound


@pytest.mark.parametrize("data", [b"not a picture", b""])
def test_a_picture_that_does_not_decode_is_named(run: Path, data: bytes) -> None:
    rewrite(run, lambda row: row["image"].update(bytes=data))
    found = checked(run)
    assert harm(found) == {"damaged_pictures": 1}
    assert "does not decode" in found.examples["damaged_pictures"][0]


def test_a_picture_whose_size_differs_from_its_row_is_named(run: Path) -> None:
    rewrite(run, lambda row: row.update(width=row["width"] + 1))
    assert checked(run).examples["damaged_pictures"][0].endswith("not 81 x 72")


def rewrite(run: Path, change: Callable[[dict], None]) -> None:
    """Changes the first row of the first shard."""
    table = pq.read_table(shards(run)[0])
    rows = table.to_pylist()
    change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), shards(run)[0])


def test_a_picture_above_pillows_own_bound_is_not_damage(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for file in shards(run):
        ids = as_ids(pq.read_table(file)["pair_id"])
        assert check_shard(Output(str(run)), file.stem, ids, False).findings == []


@pytest.mark.parametrize("folder", ["data", "errors", "_run/plan"])
def test_damaged_bytes_are_reported_and_no_other_file_is_blamed(run: Path, folder: str) -> None:
    if folder == "errors":
        ids = pq.read_table(shards(run)[0], columns=["pair_id"])
        Output(str(run)).write_table(f"errors/{shards(run)[0].name}", ids)
    file, *_ = sorted((run / folder).iterdir())
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(60):
        wrong = bytearray(whole)
        for at in rng.integers(0, len(whole), 8):
            wrong[at] ^= int(rng.integers(1, 256))
        file.write_bytes(wrong)
        found = checked(run)
        told += not found.sound
        assert all(folder in name for name in found.examples.get("damaged_files", ()))
    assert told > 20
    file.write_bytes(whole)
    assert checked(run).sound


def test_a_file_that_cannot_be_read_is_not_called_damaged_and_repair_leaves_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shards(run)[0]
    file.unlink()
    file.symlink_to("/proc/self/mem")  # reading it is an input/output error
    assert main(["verify", str(run), "--repair"]) == 2
    assert f"{file} cannot be read (OSError: " in capsys.readouterr().err
    assert file.is_symlink()


def test_a_file_that_another_command_has_just_removed_is_not_damage(run: Path) -> None:
    file, other = shards(run)[:2]
    rows = pq.read_table(file).num_rows
    file.unlink()
    file.symlink_to("nowhere")  # is listed, but not there
    (run / "errors").mkdir()
    (run / "errors" / other.name).symlink_to("nowhere")
    assert harm(checked(run)) == {"missing": rows}


def test_missing_and_stray_pictures_beside_the_shards_are_reported(
    beside: Path,
) -> None:
    first, second, *_ = sorted((beside / "images").iterdir())
    first.unlink()
    Image.new("RGB", (3, 3)).save(second)
    (beside / "images" / "stray.png").write_bytes(b"whatever")
    found = checked(beside)
    assert harm(found) == {"missing_pictures": 1, "damaged_pictures": 1, "stray_pictures": 1}
    assert found.examples["missing_pictures"] == [f"images/{first.name}"]
    assert found.examples["stray_pictures"] == ["images/stray.png"]
    assert "is 3 x 3" in found.examples["damaged_pictures"][0]


def test_a_stray_picture_alone_is_not_damage(beside: Path) -> None:
    (beside / "images" / "stray.png").write_bytes(b"whatever")
    assert checked(beside).exit_status == 0


def test_a_plan_that_lost_a_part_is_damage(run: Path) -> None:
    for part in (run / "_run" / "plan").iterdir():
        part.unlink()
    found = checked(run)
    assert found.findings["damaged_files"] == 1
    assert found.exit_status == 2


def test_verify_without_a_run_exits_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "there is no run at" in capsys.readouterr().err
