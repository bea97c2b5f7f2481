"""Folders of drawn pictures to measure with."""

from __future__ import annotations

from pathlib import Path


def draw_pictures(folder: Path, contents: int, styles: int, size: int) -> tuple[str, str]:
    """Draws content/ and style/ into a folder, size x size pixels; returns their paths."""
    from demo_model.drawing import draw_content, draw_style

    for role, draw, count in (("content", draw_content, contents), ("style", draw_style, styles)):
        (folder / role).mkdir(parents=True)
        for seed in range(count):
            draw(seed, size).save(folder / role / f"{seed:05d}.png")
    return str(folder / "content"), str(folder / "style")


def name_pictures(folder: Path, count: int) -> str:
    """Makes a folder with so many empty files named as pictures; returns its path."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:07d}.png").touch()
    return str(folder)
