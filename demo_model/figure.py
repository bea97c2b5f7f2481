"""The grid that papers show: contents down the side, styles along the top, results between.

python -m demo_model.figure out/demo figure.png
"""

from __future__ import annotations

import sys

from PIL import Image, ImageOps

from styleid_ray.batch.folder.output import Output
from styleid_ray.datasets.source import Source
from styleid_ray.errors import OutputError, StyleIDError
from styleid_ray.imaging import decode
from styleid_ray.storage.fetch import read_bytes

_GAP, _PAPER = 6, (255, 255, 255)


def grid(output: Output, side: int = 256, most: int = 12) -> Image.Image:
    """The pictures of a run in one, at most `most` contents and styles, each `side` pixels square.

    Pairs that are not there stay empty. Raises OutputError when there is no run, or nothing in it.
    """
    record = output.existing_record()
    results: dict[tuple[str, str], bytes] = {}
    for name in output.files("data"):
        for row in output.read_table(name, ["content", "style", "image"]).to_pylist():
            data = row["image"]["bytes"] or output.read(row["image"]["path"])
            results[row["content"], row["style"]] = data
    if not results:
        raise OutputError(f"the run at {output.url} has no finished pairs yet")
    contents = sorted({content for content, _ in results})[:most]
    styles = sorted({style for _, style in results})[:most]
    config, step = record["config"], side + _GAP
    size = (len(styles) + 1) * step + _GAP, (len(contents) + 1) * step + _GAP
    sheet = Image.new("RGB", size, _PAPER)

    def put(data: bytes | None, row: int, column: int) -> None:
        if data is not None:
            picture = ImageOps.fit(decode(data, config["max_pixels"]), (side, side))
            # The originals stand a little apart from the results.
            at = column * step + _GAP * (column > 0), row * step + _GAP * (row > 0)
            sheet.paste(picture, at)

    for column, style in enumerate(styles, 1):
        put(read_bytes(Source(config["style"], ()).url(style)), 0, column)
    for row, content in enumerate(contents, 1):
        put(read_bytes(Source(config["content"], ()).url(content)), row, 0)
        for column, style in enumerate(styles, 1):
            put(results.get((content, style)), row, column)
    return sheet


def main(output: str, figure: str) -> None:
    """Writes the grid of a run as a picture file; its ending decides the format."""
    grid(Output(output)).save(figure)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except (StyleIDError, TypeError, ValueError) as e:
        sys.exit(f"error: {e}\n{__doc__}")
