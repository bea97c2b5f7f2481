"""The pictures of a preview."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from styleid_ray.config import JobConfig
from styleid_ray.preview.pairs import choose
from tests.batch.conftest import draw


def encoded(colour: str, size: tuple[int, int] = (70, 50)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="png")
    return buffer.getvalue()


def test_pictures_inside_parquet_files_are_read_as_stylize_reads_them(tmp_path: Path) -> None:
    rows = [{"bytes": encoded(colour), "path": f"{colour}.png"} for colour in ("red", "blue")]
    (tmp_path / "content").mkdir()
    pq.write_table(pa.table({"image": rows}), tmp_path / "content" / "part.parquet")
    draw(tmp_path / "style.png", 1)
    config = JobConfig(
        content=str(tmp_path / "content"), style=str(tmp_path / "style.png"), output="-", size=64
    )
    chosen = choose(config, 4, 8)
    shown = [chosen.pictures[pair.pictures[0]] for pair in chosen.pairs]
    assert [x.size for x in shown] == [(70, 50), (70, 50)]
    assert [x.original.getpixel((9, 9)) for x in shown] == [(255, 0, 0), (0, 0, 255)]
    assert chosen.unread == []


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (None, "0.png: its mask in --masks"),
        ((20, 20), "20 x 20 pixels, but its content is 80 x 72 (upright)"),
    ],
)
def test_a_content_whose_mask_is_missing_or_of_another_size_is_left_out(
    mask: tuple[int, int] | None, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    for number, size in ((0, mask), (1, (80, 72))):
        draw(tmp_path / "content" / f"{number}.png", number)
        if size is not None:
            grey = Image.fromarray(np.full(size[::-1], 200, np.uint8))
            grey.save(tmp_path / "masks" / f"{number}.png")
    content = str(tmp_path / "content")
    masks = str(tmp_path / "masks")
    config = JobConfig(content=content, style=content, output="-", size=64, masks=masks)
    chosen = choose(config, 2, 8)
    assert {pair.recipe.content for pair in chosen.pairs} == {"1.png"}
    kept = chosen.pictures["content", "1.png"]
    assert kept.masks["mask"].size == kept.fitted.size
    assert reason in chosen.unread[0]
