"""The command `preview` from pictures to grid and page, with the embedded model."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from styleid_ray.cli import main
from styleid_ray.preview import write
from styleid_ray.preview.write import Preview, write_preview
from tests.batch.conftest import draw


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    for number in range(3):
        draw(tmp_path / "content" / f"{number}.png", number, (80, 60))
        draw(tmp_path / "style" / f"{number}.png", 10 + number)
    sources = {"content": str(tmp_path / "content"), "style": str(tmp_path / "style")}
    return {**sources, "output": str(tmp_path / "out"), "model": "demo", "size": 64, "steps": 3}


class Spied:
    """Remembers what was loaded and made."""

    pipe: Any
    made: Any

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        load, make = write.load, write.make

        def loaded(*args: Any) -> Any:
            self.pipe = load(*args)
            return self.pipe

        def made(*args: Any) -> Any:
            self.made = make(*args)
            return self.made

        monkeypatch.setattr(write, "load", loaded)
        monkeypatch.setattr(write, "make", made)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    return Spied(monkeypatch)


def preview(options: dict[str, Any], pairs: int = 2, cell: int = 48) -> tuple[Preview, str]:
    stream = io.StringIO()
    return write_preview(options, pairs, cell, stream), stream.getvalue()


def test_each_picture_is_inverted_once_for_all_columns(
    options: dict[str, Any], spied: Spied
) -> None:
    made, messages = preview(options | {"gamma": "0.3,0.9", "adain": "0,0.5,1"}, pairs=3)
    assert spied.pipe.counts.inversions == 3 + 3
    assert spied.pipe.unet_evaluations == 6 * 3 + 3 * 6 * 2
    costs = spied.made.costs
    assert (spied.made.inverted, spied.made.inversions[0]) == (6, 18)
    assert [evaluations for evaluations, _ in costs] == [6] * 6
    assert sum(seconds for _, seconds in costs) < spied.made.seconds
    assert "54 of 54 UNet evaluations (100 %)" in messages
    assert made.exit_status == 0


def test_pictures_whose_values_are_not_finite_are_counted_as_failed(
    options: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "broken"))
    weights = model / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["decoder.conv_out.bias"][:] = torch.nan
    save_file(tensors, weights, {"format": "pt"})
    made, _ = preview(options | {"model": str(model)})
    assert made.summary.startswith("2 pictures (2 pairs, 1 column), 2 failed, ")
    assert (made.failed, made.exit_status) == (2, 1)


def test_large_contents_are_made_in_the_windows_of_a_job(
    options: dict[str, Any], spied: Spied
) -> None:
    draw(Path(options["content"]) / "1.png", 1, (256, 256))
    tiled = {"content": f"{options['content']}/1.png", "size": 128, "tile": 64}
    made, messages = preview(options | tiled | {"gamma": "0.3,0.9"})
    assert "size 128, tile 64, " in Path(made.page).read_text()
    windows = 3 * 3
    inverting, sampling = (windows + 2) * 3, 2 * 2 * windows * 2
    assert spied.pipe.unet_evaluations == inverting + sampling
    assert (spied.made.inverted, spied.made.inversions[0]) == (3, inverting)
    assert [evaluations for evaluations, _ in spied.made.costs] == [sampling // 2] * 2
    total = inverting + sampling
    assert f"{total} of {total} UNet evaluations (100 %)" in messages


def test_methods_are_shown_side_by_side_and_take_no_evaluations(
    options: dict[str, Any], spied: Spied
) -> None:
    made, messages = preview(options | {"method": "styleid,adain,latent-adain", "gamma": "0.3,0.9"})
    costs = spied.made.costs
    assert [evaluations for evaluations, _ in costs] == [4, 4, 0, 0]
    assert all(seconds > 0 for _, seconds in costs)
    assert "20 of 20 UNet evaluations (100 %)" in messages
    pixels = np.array([[np.asarray(picture) for picture in row] for row in spied.made.results])
    assert pixels.shape == (2, 4, 60, 80, 3)
    assert all(len({x.tobytes() for x in row}) == 4 for row in pixels)
    page = Path(made.page).read_text()
    assert "--model demo --size 64 --method latent-adain" in page
    assert "--size 64 --method adain" in page


def test_colour_transfers_need_neither_model_nor_evaluations(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sources = {name: options[name] for name in ("content", "style", "output", "size")}
    made, messages = preview(sources | {"method": "reinhard,mkl"})
    assert made.exit_status == 0
    assert messages.splitlines()[-1].startswith("4 of 4 pictures (100 %)")
    assert "model" not in Path(made.page).read_text().partition("</header>")[0]


def test_the_grid_shows_what_each_value_does_in_the_contents_shape(
    options: dict[str, Any], spied: Spied
) -> None:
    made, _ = preview(options | {"gamma": "0,1", "detail": "0,1"})
    results = spied.made.results
    assert {picture.size for row in results for picture in row} == {(80, 60)}
    pixels = np.stack([[np.asarray(picture, np.int16) for picture in row] for row in results])
    for one in range(4):
        for other in range(one):
            assert np.abs(pixels[:, one] - pixels[:, other]).mean() > 0.5
    with Image.open(made.picture) as grid:
        assert grid.width > 6 * 48
        assert grid.height > 2 * 36


def test_a_column_is_the_picture_that_stylize_makes(options: dict[str, Any], spied: Spied) -> None:
    from styleid_ray import StyleParams

    preview(options | {"gamma": "0.2,0.8", "temperature": "1.5", "fit": "crop"}, pairs=1)
    content, style = (
        Image.open(Path(options[what]) / "0.png").convert("RGB") for what in ("content", "style")
    )
    cut = [x.crop((x.width // 2 - h, 0, x.width // 2 + h, x.height)) for x, h in [(content, 30)]]
    square = style.crop((4, 0, 76, 72))
    pictures = [x.resize((64, 64), Image.Resampling.BICUBIC) for x in cut]
    small = square.resize((64, 64), Image.Resampling.LANCZOS)
    params = StyleParams(steps=3, gamma=0.8, temperature=1.5)
    (expected,) = spied.pipe(pictures, [small], params=params)
    made = np.asarray(spied.made.results[0][1], np.int16)
    assert np.abs(made - np.asarray(expected)).max() <= 1


def test_a_mask_keeps_the_content_where_it_is_black(
    options: dict[str, Any], tmp_path: Path, spied: Spied
) -> None:
    (tmp_path / "masks").mkdir()
    for number in range(3):
        mask = np.zeros((60, 80), np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    plain, _ = preview(options | {"gamma": "0"}, pairs=1)
    stylised = np.asarray(spied.made.results[0][0], np.int16)
    preview(options | {"gamma": "0", "masks": str(tmp_path / "masks")}, pairs=1)
    kept = np.asarray(spied.made.results[0][0], np.int16)
    content = np.asarray(Image.open(tmp_path / "content" / "0.png"), np.int16)
    assert np.abs(kept - content).mean() < np.abs(stylised - content).mean()
    assert plain.failed == 0


def with_table(options: dict[str, Any], tmp_path: Path, rows: str) -> dict[str, Any]:
    (tmp_path / "pairs.csv").write_text(rows)
    return options | {"pairing": "table", "table": str(tmp_path / "pairs.csv")}


def test_a_row_with_a_gamma_of_its_own_is_made_once_for_all_columns(
    options: dict[str, Any], tmp_path: Path, spied: Spied
) -> None:
    rows = "content,style,gamma\n0.png,0.png,0.6\n1.png,0.png,\n"
    made, messages = preview(with_table(options, tmp_path, rows) | {"gamma": "0,0.5,1"})
    own, other = ([np.asarray(x, np.int16) for x in row] for row in spied.made.results)
    assert all(np.array_equal(own[0], x) for x in own[1:])
    assert np.abs(other[0] - other[2]).mean() > 0.5
    assert spied.pipe.unet_evaluations == 3 * 3 + (1 + 3) * 2
    assert "17 of 17 UNet evaluations (100 %)" in messages
    page = Path(made.page).read_text()
    assert "0.png, 0.png, gamma 0.6 (table): gamma 0.5" in page
    assert f"--pairing table --table {tmp_path}/pairs.csv" in page


def test_two_styles_are_interpolated_by_their_weight(
    options: dict[str, Any], tmp_path: Path, spied: Spied
) -> None:
    weights = (0.01, 0.5, 0.99)
    rows = "".join(f"0.png,0.png,1.png,{weight}\n" for weight in weights)
    rows = f"content,style,style2,weight\n0.png,0.png,,\n{rows}0.png,1.png,,\n"
    made, _ = preview(with_table(options, tmp_path, rows) | {"gamma": "0"}, pairs=5)
    first, *mixed, last = (np.asarray(row[0], np.int16) for row in spied.made.results)
    to_first, to_last = ([np.abs(x - y).mean() for x in mixed] for y in (first, last))
    assert to_first == sorted(to_first)
    assert to_last == sorted(to_last, reverse=True)
    assert spied.pipe.counts.inversions == 3
    assert "99 %: 0.png" in Path(made.page).read_text()


def test_a_class_has_the_style_of_its_column(
    options: dict[str, Any], tmp_path: Path, spied: Spied
) -> None:
    (tmp_path / "classes").mkdir()
    classes = np.zeros((60, 80), np.uint8)
    classes[:, 40:] = 7
    for number in range(3):
        Image.fromarray(classes).save(tmp_path / "classes" / f"{number}.png")
    regions = {"label_masks": str(tmp_path / "classes"), "region_styles": "7=style2"}
    rows = "content,style,style2\n0.png,0.png,1.png\n"
    made, _ = preview(with_table(options, tmp_path, rows) | {"gamma": "0"} | regions, pairs=1)
    ((both,),) = spied.made.results
    assert "class 7: 1.png" in Path(made.page).read_text()
    rows = "content,style\n0.png,0.png\n0.png,1.png\n"
    preview(with_table(options, tmp_path, rows) | {"gamma": "0"})
    alone = [np.asarray(row[0], np.int16) for row in spied.made.results]
    for half, own, other in (
        ((slice(None), slice(0, 40)), *alone),
        ((slice(None), slice(40, 80)), *alone[::-1]),
    ):
        pixels = np.asarray(both, np.int16)[half]
        assert np.abs(pixels - own[half]).mean() < np.abs(pixels - other[half]).mean()


def test_inversions_are_shared_by_presets_with_the_same_steps(
    options: dict[str, Any], spied: Spied
) -> None:
    _, messages = preview(options | {"preset": "paper,scheduled"}, pairs=1)
    assert spied.pipe.counts.inversions == 2
    assert "10 of 10 UNet evaluations (100 %)" in messages


def test_the_page_has_the_commands_the_costs_and_all_pictures_inside(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "content" / "2.png").rename(tmp_path / "content" / "<b>2.png")
    made, _ = preview(options | {"gamma": "0.3,0.9"}, pairs=3)
    page = Path(made.page).read_text()
    assert page.count("data:image/webp;base64,") == 3 * 4
    assert "styleid-ray preview --content" in page
    assert "--gamma 0.3,0.9 --pairs 3 --cell 48" in page
    assert "--output OUTPUT --model demo --size 64 --steps 3 --gamma 0.9" in page
    assert "6 inversions" in page
    assert "&lt;b&gt;2.png" in page
    assert "<b>2" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_secrets_of_a_store_are_in_no_file(options: dict[str, Any], tmp_path: Path) -> None:
    made, _ = preview(options | {"storage_options": '{"key": "hush"}'}, pairs=1)
    assert "hush" not in Path(made.page).read_text()


def test_a_picture_that_cannot_be_read_is_left_out_with_a_line(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "content" / "0.png").write_bytes(b"no picture")
    made, messages = preview(options)
    assert "left out: content 0.png: not a picture" in messages
    assert made.exit_status == 1
    assert Path(made.picture).exists()


def test_output_is_a_file_with_its_page_beside_it_and_nothing_else(
    options: dict[str, Any], tmp_path: Path
) -> None:
    made, _ = preview(options | {"output": str(tmp_path / "new" / "gamma.png")}, pairs=1)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["gamma.html", "gamma.png"]
    assert made.picture == str(tmp_path / "new" / "gamma.png")


@pytest.mark.parametrize(("output", "stem"), [("grid.png", "grid"), ("grids/", "grids/preview")])
def test_the_files_are_named_as_output_is_given(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, stem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made, _ = preview(options | {"output": output}, pairs=1)
    assert (made.picture, made.page) == (f"{stem}.png", f"{stem}.html")
    assert Path(made.picture).exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--pairs=25"], "--pairs 25: must be from 1 to 24"),
        (["--cell=8"], "--cell 8: must be from 32 to 512"),
        (["--gamma=0.3,2"], "--gamma"),
        (["--content=/no/such/folder"], "--content"),
        (["--output={content}/grid.png"], "--output"),
        (["--output=x.jpg"], "--output x.jpg: name a file that ends in .png"),
        (["--model=/no/such/folder"], "--model demo"),
        (["--fit=crop", "--size=100"], "--size"),
        (["--layers=0-5"], "--layers 0, 1, 2: "),
    ],
)
def test_wrong_options_are_one_line_and_status_2(
    options: dict[str, Any],
    changed: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = [text.format(**options) for text in changed]
    given = {f"--{name}": f"--{name}={value}" for name, value in options.items()}
    given |= {text.partition("=")[0]: text for text in changed}
    assert main(["preview", *given.values()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_none_of_the_pictures_readable_is_an_error(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for picture in (tmp_path / "style").iterdir():
        picture.write_bytes(b"")
    assert main(["preview", *[f"--{name}={value}" for name, value in options.items()]]) == 2
    error = capsys.readouterr().err
    assert "--style: none of the pictures" in error
    assert "0.png: the file is empty" in error


def test_the_command_prints_the_files_and_the_time_of_a_picture(
    options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"--{name}={value}" for name, value in options.items()]
    assert main(["preview", *given, "--pairs=1", "--low-frequency=0.5,1"]) == 0
    picture, page, summary = capsys.readouterr().out.splitlines()
    assert (picture, page) == (
        f"{options['output']}/preview.png",
        f"{options['output']}/preview.html",
    )
    assert summary.startswith("2 pictures (1 pair, 2 columns), ")
    assert summary.endswith(" s per picture on cpu")


def test_a_preview_that_is_stopped_does_not_say_that_it_resumes(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_preview", stopped)
    sources = [f"--{name}={options[name]}" for name in ("content", "style", "output")]
    assert main(["preview", *sources]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_help_says_which_options_take_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Lists such as 0.3,0.6 go with --preset" in text
    assert "Query preservation" in text
