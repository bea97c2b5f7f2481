"""The page of a run, read as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from styleid_ray.batch.folder.output import REMADE, Output
from styleid_ray.batch.stages.commit import ERRORS
from styleid_ray.cli import main
from styleid_ray.errors import OutputError
from styleid_ray.report import write_report
from tests.report.conftest import MakeRun, Quality, evaluate, measure, paint, picture_of

HOSTILE = '"><img src=x onerror=hacked=1>'


class _Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(output: Output, **options: Any) -> str:
    write_report(output, **options)
    return output.read("report.html").decode()


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def tiles_of(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]+)</dt><dd>(?:<a[^>]*>)?([^\s<]+)", page)
    return dict(found)


def test_shows_every_pair_with_its_sources_and_parameters(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs, gamma=0.3)
    assert write_report(output) == f"{tmp_path}/run/report.html"
    page = output.read("report.html").decode()
    data = data_of(page)
    names = {
        (data["contents"][pair["c"]]["name"], data["styles"][pair["s"]]["name"])
        for pair in data["pairs"]
    }
    contents = ("boat.png", "park/tree 10.png", "park/tree 9.png")
    assert names == {(c, s) for c in contents for s in ("ink.png", "oil.png")}
    assert ["γ", "0.3"] in data["params"][0]
    assert ["steps", "4"] in data["params"][0]
    assert ["layers", "6–11"] in data["params"][0]
    assert data["grid"] is True
    images = [one["image"] for role in ("pairs", "contents", "styles") for one in data[role]]
    assert {picture_of(image).size for image in images} == {(48, 48)}
    assert tiles_of(page) | {"time": ""} == {
        "planned": "6",
        "done": "6",
        "failed": "0",
        "to do": "0",
        "throughput": "1.25",
        "time": "",
        "UNet evaluations": "1,234",
    }
    assert "2031-05-06 07:08:09 UTC" in page


def test_a_page_loads_nothing_from_elsewhere(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    page = page_of(make_run(str(tmp_path / "run"), *inputs))
    elements = _Elements(page).found
    links = [value for _, a in elements for name in ("src", "href") if (value := a.get(name))]
    assert set(links) <= {"data:,", "#gallery"}
    assert "://" not in page.split('<script type="application/json"')[0]


def test_pictures_beside_the_dataset_are_shown_and_linked(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs, format="files")
    data = data_of(page_of(output))
    assert all(pair["image"] for pair in data["pairs"])
    assert all((tmp_path / "run" / pair["file"]).is_file() for pair in data["pairs"])


def test_an_unfinished_run_with_failures_says_so(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"failing": ("boat.png",), "shard_pairs": 1}
    output = make_run(str(tmp_path / "run"), *inputs, shards=3, **options)
    page = page_of(output)
    tiles = tiles_of(page)
    assert (tiles["planned"], tiles["to do"], tiles["throughput"]) == ("6", "3", "–")
    assert int(tiles["done"]) + int(tiles["failed"]) == 3
    assert "Not finished" in page
    assert "content boat.png: the picture is damaged" in page
    assert f'<a href="#failures">{tiles["failed"]}</a>' in page


def test_a_run_with_only_failures_has_a_page(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    failing = ("boat.png", "park/tree 10.png", "park/tree 9.png")
    page = page_of(make_run(str(tmp_path / "run"), *inputs, failing=failing))
    assert data_of(page)["pairs"] == []
    assert "every one so far has failed" in page
    assert page.count("the picture is damaged") == 6


def test_a_run_that_has_only_begun_has_a_page(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    page = page_of(make_run(str(tmp_path / "run"), *inputs, shards=0))
    assert "No pair is finished yet" in page
    assert 'id="failures"' not in page


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no run"):
        write_report(Output(str(tmp_path / "nothing")))


def test_a_missing_source_leaves_a_gap(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    (inputs[0] / "boat.png").unlink()
    images = {one["name"]: one["image"] for one in data_of(page_of(output))["contents"]}
    assert images.pop("boat.png") is None
    assert all(images.values())
    inputs[1].rename(tmp_path / "elsewhere")
    assert [one["image"] for one in data_of(page_of(output))["styles"]] == [None, None]


def test_sources_whose_url_held_a_secret_leave_gaps(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    record = output.existing_record() | {"sources": None}
    output.write("_run/config.yaml", yaml.safe_dump(record).encode())
    data = data_of(page_of(output))
    assert not any(one["image"] for role in ("contents", "styles") for one in data[role])
    assert all(pair["image"] for pair in data["pairs"])


def test_any_name_is_shown_as_text(make_run: MakeRun, tmp_path: Path) -> None:
    names = [
        "</script><script>hacked=1<",
        '"><img src=x onerror=hacked=1>',
        "{{ 7*7 }}",
        "a\u2028b",
    ]
    for number, name in enumerate(names):
        paint(tmp_path / "content" / f"{name.replace('/', '')}.png", number)
    paint(tmp_path / "style" / "<b>ink<!--.png", 9)
    output = make_run(
        str(tmp_path / "run"),
        tmp_path / "content",
        tmp_path / "style",
        failing=(f"{HOSTILE}.png",),
        message="content {}: </td><script>hacked=2</script>",
    )
    page = page_of(output)
    tags = [tag for tag, _ in _Elements(page).found]
    assert "img" not in tags
    assert "b" not in tags
    assert tags.count("script") == 2, "the data and our own"
    assert {"<script><script>hacked=1<.png", "{{ 7*7 }}.png"} <= {
        one["name"] for one in data_of(page)["contents"]
    }
    assert "\u2028" not in page
    assert "<!--" not in page


def test_secrets_in_locations_are_left_out(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    signed = "https://someone:hunter2@store.example/a b/x.png?X-Amz-Signature=c0ffee#t0ken"
    record = output.record()
    assert record
    record["config"]["table"] = signed
    output.write("_run/config.yaml", yaml.safe_dump(record).encode())
    failed = {"pair_id": "0" * 32, "content": signed, "style": signed, "k": 0, "stage": "fetch"}
    failed |= {"error": "RowError", "message": f"content {signed}: gone, see s3://me:hunter2@b/c"}
    name = output.files("data")[0].replace("data", "errors")
    output.write_table(name, pa.Table.from_pylist([failed], ERRORS))

    page = page_of(output)
    assert "content https://store.example/a b/x.png: gone" in page
    assert '<td data-label="Content">https://store.example/a b/x.png</td>' in page
    assert "table: https://store.example/a b/x.png" in page
    assert not [secret for secret in ("hunter2", "c0ffee", "t0ken") if secret in page]


def test_a_run_in_a_bucket_gets_its_page_there(
    make_run: MakeRun, inputs: tuple[Path, Path], s3: str
) -> None:
    output = make_run(f"{s3}/some/run", *inputs)
    assert write_report(output) == f"{s3}/some/run/report.html"
    data = data_of(Output(f"{s3}/some/run").read("report.html").decode())
    assert len(data["pairs"]) == 6
    assert all(pair["image"] for pair in data["pairs"])


def test_a_reader_without_permission_to_write_puts_the_page_elsewhere(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs, format="files")
    before = sorted((tmp_path / "run").rglob("*"))
    page = tmp_path / "elsewhere" / "page.html"
    assert main(["report", output.url, "--to", str(page)]) == 0
    assert sorted((tmp_path / "run").rglob("*")) == before
    pairs = data_of(page.read_text())["pairs"]
    assert len(pairs) == 6
    assert all(pair["image"] and not pair["file"] for pair in pairs)
    with pytest.raises(OutputError, match=r"--to .*: name a file"):
        write_report(output, to=f"{tmp_path}/")


@pytest.mark.parametrize("folder", ["data", "errors", "_run/plan"])
def test_a_damaged_file_is_one_line(
    folder: str, make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "out"), *inputs, failing=("boat.png",))
    file, *_ = sorted((tmp_path / "out" / folder).iterdir())
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    told: list[str] = []
    for _ in range(25):
        wrong = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            wrong[at] ^= int(rng.integers(1, 256))
        file.write_bytes(wrong)
        try:
            write_report(output)
        except OutputError as error:
            told.append(str(error))
    assert told
    assert all("damaged" in line and line.isprintable() for line in told)


def quality_of(row: dict[str, Any]) -> Quality:
    """Good measures for all pairs but the boat in ink, which lost its structure."""
    bad = (row["content"], row["style"]) == ("boat.png", "ink.png")
    good = {"color": 0.75, "edges": 0.5, "blank": 0.25, "sharpness": 1.0, "copy": 0.5}
    return good | {"structure": 0.0625 if bad else 0.875, "saturation": None}


def test_pairs_carry_their_measures_and_the_worst_is_named(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    measure(output, quality_of)
    evaluate(output, lambda row: 0.25 if row["style"] == "ink.png" else 0.5)
    page = page_of(output)
    data = data_of(page)
    names = [measure["name"] for measure in data["measures"]]
    assert "saturation" not in names, "no pair has it"
    for pair in data["pairs"]:
        row = {role: data[f"{role}s"][pair[role[0]]]["name"] for role in ("content", "style")}
        values = dict(zip(names, pair["q"], strict=True))
        assert {"saturation": None} | values == (quality_of(row) or {}) | dict.fromkeys(
            ("lpips", "lpips_gray", "cfsd", "histogram_loss"),
            0.25 if row["style"] == "ink.png" else 0.5,
        )
    worst = [pair for pair in data["pairs"] if pair["id"] in data["worst"]]
    assert [(pair["q"][names.index("structure")], pair["rejected"]) for pair in worst] == [
        (0.0625, False)
    ]
    assert "1 of 6 measured pairs is beyond a limit" in " ".join(page.split())
    assert "<span>0.25</span><span>median 0.25</span><span>0.25</span>" in page  # blank
    assert "structure of 6 pairs: 0.0625 to 0.875, median 0.875, limit: below 0.1" in page
    assert "28.875" in page


def test_a_run_within_all_limits_says_so(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    measure(output, lambda row: quality_of(row | {"content": "other.png"}))
    assert "All 6 measured pairs are within limits." in " ".join(page_of(output).split())


def test_the_head_mentions_that_remade_pairs_have_another_gamma(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    assert "<span>γ</span> 0.75</li>" in page_of(output)
    name = output.files("data")[0]
    table = output.read_table(name)
    rows = table["params"].to_pylist()
    rows[0]["gamma"] = 0.9
    at = table.column_names.index("params")
    remade = pa.array(rows, table.schema.field("params").type)
    output.write_table(name, table.set_column(at, table.schema.field("params"), remade))
    assert "<span>γ</span> 0.75 (some pairs: other values)</li>" in page_of(output)


def test_metrics_of_replaced_pictures_are_not_joined_to_the_new_ones(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs)
    evaluate(output, lambda row: 0.25, data_digest=output.data_digest())
    page = page_of(output)
    assert "Pictures were made since" not in page
    assert "lpips" in [measure["name"] for measure in data_of(page)["measures"]]
    name = output.files("data")[0]
    table = output.read_table(name)
    output.write_table(name, table.replace_schema_metadata({REMADE: b"1"}))
    page = page_of(output)
    assert "Pictures were made since: run styleid-ray evaluate again." in page
    assert data_of(page)["measures"] == []
    assert "28.875" in page


def test_the_worst_of_the_whole_run_are_shown_besides_the_sample(
    make_run: MakeRun, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    output = make_run(str(tmp_path / "run"), *inputs, reject="structure < 0.5")
    measure(output, quality_of)
    for shown in (1, 2):
        page = page_of(output, sample=shown)
        data = data_of(page)
        sampled = [pair for pair in data["pairs"] if not pair["extra"]]
        (worst,) = [pair for pair in data["pairs"] if pair["id"] in data["worst"]]
        assert len(sampled) == shown
        assert worst["rejected"]
        assert worst["image"]
        assert f"A sample: {shown} of 6 finished pairs" in page
        assert "rule <code>structure&lt;0.5</code> rejects 1 of 6" in " ".join(page.split())
        assert "rejected: below 0.5" in page
