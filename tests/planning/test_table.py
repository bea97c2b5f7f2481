"""Tables of pairs: what is read, and what is refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from styleid_ray.errors import SourceError
from styleid_ray.planning.table import read_table

GOOD = '{"content": "a.png", "style": "b.png"}'


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("null", 1),
        (f"\ufeff null\n{GOOD}", 1),
        (f"\n  null\n{GOOD}", 2),
        (f"{GOOD}\r\nnull\r\n", 2),
        (f"{GOOD}\rnull", 2),
        (f"{GOOD}\n\n[{GOOD}]", 3),
        (f"{GOOD}\n{GOOD}\n3", 3),
    ],
)
def test_a_line_of_json_that_is_no_object_is_refused_with_its_row(tmp_path, text, row):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(text.encode())
    with pytest.raises(SourceError, match=rf"pairs\.jsonl .* row {row} is no object: write one"):
        read_table(str(path))


def test_null_where_a_block_of_lines_begins_does_not_end_the_process(tmp_path):
    path = tmp_path / "pairs.jsonl"
    line = f"{GOOD}\n".encode()
    path.write_bytes(line * (2**24 // len(line)) + b"null\n" * 20)
    code = f"from styleid_ray.planning.table import read_table\nread_table({str(path)!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "SourceError" in run.stderr


def test_lines_may_be_blank_end_in_any_way_and_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "pairs.jsonl"
    other = GOOD.replace("a.png", "c.png")
    for text in (f"\ufeff{GOOD}\n\n {other}\n", f"{GOOD}\r\n{other}\r\n", f"{GOOD}\r{other}"):
        path.write_bytes(text.encode())
        assert read_table(str(path))["content"].to_pylist() == ["a.png", "c.png"]


def test_null_beside_an_object_is_a_row_without_a_content(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{GOOD} null")
    with pytest.raises(SourceError, match="row 2: content is empty"):
        read_table(str(path))
