"""The labelled grid."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from styleid_ray.preview.lettering import Lettering
from styleid_ray.preview.sheet import Row, draw_sheet


def plain(colour: str, size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new("RGB", size, colour)


def row(*results: Image.Image | None, names: tuple[str, str] = ("c.png", "s.png")) -> Row:
    return Row(plain("red"), [plain("lime")], names, results)


def pixels_of(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(sheet) == colour).all(axis=2).sum())


def test_every_picture_is_in_the_grid_as_large_as_its_cell() -> None:
    sheet = draw_sheet([row(plain("blue"), plain("blue"))] * 3, [("a",), ("b",)], "", 64)
    assert pixels_of(sheet, (255, 0, 0)) == 3 * 64**2
    assert pixels_of(sheet, (0, 255, 0)) == 3 * 64**2
    assert pixels_of(sheet, (0, 0, 255)) == 6 * 64**2


def test_a_row_is_as_high_as_its_content_with_any_style() -> None:
    wide = plain("blue", (80, 40))
    flat = Row(wide, [plain("lime", (40, 200))], ("c", "s"), [wide])
    square = draw_sheet([row(plain("blue"))], [("a",)], "", 64)
    assert square.height - draw_sheet([flat], [("a",)], "", 64).height == 32


@pytest.mark.parametrize(("styles", "side"), [(2, 29), (3, 29), (4, 29), (5, 17), (9, 17)])
def test_several_styles_share_the_place_of_one(styles: int, side: int) -> None:
    names = "c", *map(str, range(styles))
    several = Row(plain("red"), [plain("lime")] * styles, names, [plain("blue")])
    sheet = draw_sheet([several], [("a",)], "", 64)
    assert pixels_of(sheet, (0, 255, 0)) == styles * side**2
    assert pixels_of(sheet, (255, 0, 0)) == pixels_of(sheet, (0, 0, 255)) == 64**2


def test_every_name_below_a_row_has_a_line() -> None:
    names = "c", *(f"style {n}" for n in range(9))
    styles = [plain("lime")] * 9
    flat = plain("red", (80, 8))
    sheet = np.asarray(draw_sheet([Row(flat, styles, names, [flat])] * 2, [("a",)], "", 64))
    lettered = (sheet[:, 80:150] != 255).any(axis=(1, 2))
    assert int(np.diff(lettered.astype(int)).clip(0).sum()) >= 2 * 9


def test_values_of_a_row_are_written_below_its_content() -> None:
    plainly, own = (
        draw_sheet(
            [Row(plain("red"), [plain("lime")], ("c", "s"), [plain("blue")], text)],
            [("a",)],
            "",
            64,
        )
        for text in ("", "gamma 0.4 (table)")
    )
    assert own.height > plainly.height


def test_nothing_is_drawn_at_the_edge_however_long_names_and_headings_are() -> None:
    long = "cosine:0.75:0.375" * 4
    names = "a" * 300, "b c " * 90
    rows = [row(plain("blue"), None, names=names)]
    sheet = np.asarray(draw_sheet(rows, [("x", long), ("x", "y " * 60)], "settings " * 60, 48))
    for edge in (sheet[:8], sheet[-8:], sheet[:, :8], sheet[:, -8:]):
        assert (edge == 255).all()


def test_a_long_heading_is_wrapped_and_a_long_name_loses_its_middle() -> None:
    letters = Lettering(13)
    lines = letters.wrapped("gamma cosine:0.75:0.375", 90)
    assert lines == ["gamma", "cosine:0.75:", "0.375"]
    assert all(letters.width(line) <= 90 for line in lines)
    short = letters.cut("holiday/2024/photograph-000123.png", 100)
    assert short.startswith("holi")
    assert short.endswith(".png")
    assert letters.width(short) <= 100


def test_letters_that_the_font_lacks_lose_their_accents_or_are_marked() -> None:
    letters = Lettering(13)
    assert letters.width("Café") == letters.width("Cafe")
    assert letters.width("画") == letters.width("?")
