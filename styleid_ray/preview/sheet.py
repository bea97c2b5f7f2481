"""The labelled grid: pairs down the side, columns of values along the top."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageOps

from styleid_ray.preview.lettering import Lettering

_PAPER, _INK, _SOFT, _LINE, _WELL = "#ffffff", "#1d1c1a", "#66625b", "#b5afa4", "#ebe8e1"
_MARGIN, _GAP, _APART, _PAD = 16, 6, 18, 8
_LARGE_CELL = 192
"""Side of a cell in pixels from which letters are large."""

Labels = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """One pair and its results."""

    content: Image.Image
    styles: Sequence[Image.Image]
    """One or more, the main one first."""
    names: tuple[str, ...]
    """Names of the content and of each style."""
    results: Sequence[Image.Image | None]
    """Per column; None for a failed one."""
    own: str = ""
    """Values of this pair that replace those of the columns."""


@dataclass(frozen=True)
class _Fitted:
    """A row in cells that are as high as the content's shape needs."""

    sources: tuple[Image.Image, Image.Image]
    """The content, and its styles in one picture."""
    captions: tuple[Sequence[str], Sequence[str]]
    results: Sequence[Image.Image | None]

    def height(self, line: int) -> int:
        """Pixels of the row with captions in lines of this height, and the space below."""
        named = zip(self.sources, self.captions, strict=True)
        return max(picture.height + len(names) * line for picture, names in named) + _GAP + _PAD


class _Heading(NamedTuple):
    left: int
    right: int
    lines: list[str]


def draw_sheet(rows: Sequence[Row], labels: Labels, settings: str, cell: int) -> Image.Image:
    """The grid of a preview, RGB.

    Args:
        rows: pairs with their results.
        labels: headings of each column, the outermost first; equal neighbours share one.
        settings: the settings common to all results, written below them.
        cell: longest side of a picture in pixels.
    """
    large = cell >= _LARGE_CELL
    head, small = Lettering(16 if large else 13), Lettering(13 if large else 12)
    lefts = _lefts(labels, cell)
    width = lefts[-1] + cell + _MARGIN
    levels: list[list[_Heading]] = []
    for level in headings(labels):
        edges = [(text, lefts[members[0]], lefts[members[-1]] + cell) for text, members in level]
        levels.append([_Heading(x, y, head.wrapped(text, y - x)) for text, x, y in edges])
    footer = small.wrapped(settings, width - 2 * _MARGIN)
    first = _MARGIN + sum(_tall(level, head) for level in levels)
    fitted = [_fitted(row, cell) for row in rows]
    heights = [one.height(small.height) for one in fitted]
    height = first + sum(heights) + len(footer) * small.height + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)

    _draw_headings(draw, levels, head)
    places = _MARGIN, _MARGIN + cell + _GAP
    for name, left in zip(("content", "style"), places, strict=True):
        head.write(draw, [name], left, cell, first - _PAD - head.height, _SOFT)
    top = first
    for one, height in zip(fitted, heights, strict=True):
        tall = one.sources[0].height
        for left, picture, names in zip(places, one.sources, one.captions, strict=True):
            sheet.paste(picture, (left + (cell - picture.width) // 2, top))
            short = [small.cut(name, cell) for name in names]
            small.write(draw, short, left, cell, top + picture.height + 3, _SOFT)
        for left, picture in zip(lefts, one.results, strict=True):
            if picture is None:
                draw.rectangle([left, top, left + cell - 1, top + tall - 1], _WELL)
                head.write(draw, ["failed"], left, cell, top + (tall - head.height) // 2, _SOFT)
            else:
                sheet.paste(picture, (left + (cell - picture.width) // 2, top))
        top += height
    small.write(draw, footer, _MARGIN, None, top, _SOFT)
    return sheet


def _lefts(labels: Labels, cell: int) -> list[int]:
    """Left edge of each column, with more space between columns under different outer headings."""
    left = _MARGIN + 2 * (cell + _GAP) + _APART - _GAP
    lefts = [left]
    for before, after in itertools.pairwise(labels):
        spaced = len(after) > 1 and before[:-1] != after[:-1]
        lefts.append(lefts[-1] + cell + (_APART if spaced else _GAP))
    return lefts


def headings(labels: Labels) -> list[list[tuple[str, list[int]]]]:
    """The headings of each level, the outermost first: each with the columns below it."""
    return [
        [
            (key[-1], list(members))
            for key, members in itertools.groupby(
                range(len(labels)), key=lambda i, n=level: labels[i][:n]
            )
        ]
        for level in range(1, len(labels[0]) + 1)
    ]


def _draw_headings(
    draw: ImageDraw.ImageDraw, levels: Sequence[Sequence[_Heading]], letters: Lettering
) -> None:
    bottom = _MARGIN
    for number, level in enumerate(levels, 1):
        bottom += _tall(level, letters)
        for heading in level:
            top = bottom - _PAD - len(heading.lines) * letters.height
            letters.write(
                draw, heading.lines, heading.left, heading.right - heading.left, top, _INK
            )
            if number < len(levels):
                draw.line([(heading.left, bottom - 5), (heading.right - 1, bottom - 5)], _LINE)


def _tall(level: Sequence[_Heading], letters: Lettering) -> int:
    return max(len(heading.lines) for heading in level) * letters.height + _PAD


def _fitted(row: Row, cell: int) -> _Fitted:
    content = ImageOps.contain(row.content, (cell, cell))
    box = cell, content.height
    results = [x and ImageOps.contain(x, box) for x in row.results]
    own = [row.own] if row.own else []
    captions = [row.names[0], *own], row.names[1:]
    return _Fitted((content, _together(row.styles, box)), captions, results)


def _together(pictures: Sequence[Image.Image], box: tuple[int, int]) -> Image.Image:
    """Several pictures tiled into the place of one, row by row."""
    across = math.ceil(math.sqrt(len(pictures)))
    counts = across, math.ceil(len(pictures) / across)
    width, height = (max(1, (side + _GAP) // n - _GAP) for side, n in zip(box, counts, strict=True))
    small = [ImageOps.contain(picture, (width, height)) for picture in pictures]
    width, height = (max(sides) + _GAP for sides in zip(*(x.size for x in small), strict=True))
    whole = Image.new("RGB", (counts[0] * width - _GAP, counts[1] * height - _GAP), _PAPER)
    for number, picture in enumerate(small):
        whole.paste(picture, (number % across * width, number // across * height))
    return whole
