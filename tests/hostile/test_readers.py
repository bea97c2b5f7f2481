"""Whatever a table, a job file or an option holds, it is taken or refused in one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.prepare import prepare
from styleid_ray.config import JobConfig
from styleid_ray.errors import StyleIDError
from styleid_ray.jobfile import load_job_file, make_config
from styleid_ray.planning.table import PARAMETERS, read_table
from tests.batch.conftest import draw

bounded = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXT = st.text(max_size=12)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.sampled_from(["a.png", "./b.png"]),
)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
COLUMNS = st.sampled_from([*PARAMETERS, "label", "image"]) | TEXT
ROWS = st.lists(
    st.fixed_dictionaries(
        {"content": st.sampled_from(["a.png", "b.png"]) | PLAIN, "style": st.just("s.png") | PLAIN}
    ).flatmap(
        lambda row: st.dictionaries(COLUMNS, NESTED, max_size=3).map(lambda more: more | row)
    ),
    max_size=4,
)


def refused_in_one_line(work: Callable[[], Any]) -> Any:
    """What the work gives; None when it was refused."""
    try:
        return work()
    except StyleIDError as error:
        said = str(error)
    assert said.isprintable()
    assert 10 < len(said) < 2000
    return None


def check_table(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    table = refused_in_one_line(lambda: read_table(str(file)))
    if table is not None:
        assert table.num_rows
        assert table.column_names[:5] == list(PARAMETERS)
        pq.write_table(table, io.BytesIO())


@bounded
@given(header=st.lists(COLUMNS, max_size=4), rows=st.lists(st.lists(PLAIN, max_size=7), max_size=4))
def test_any_csv_is_a_table_or_refused(header: list[str], rows: list[Any], tmp_path: Path) -> None:
    lines = [["content", "style", *header], *(["a.png", "s.png", *row] for row in rows)]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    check_table(tmp_path / "t.csv", text.encode(errors="surrogatepass"))


@bounded
@given(rows=ROWS)
def test_any_json_lines_are_a_table_or_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    check_table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)).encode())


PARQUET_TYPES = st.sampled_from(
    [
        pa.string(),
        pa.binary(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int8(), pa.int64()),
        pa.list_(pa.string()),
        pa.struct([("x", pa.int8())]),
        pa.null(),
        pa.bool_(),
        pa.int64(),
        pa.uint64(),
        pa.float16(),
        pa.decimal128(5, 2),
        pa.timestamp("ns", "UTC"),
        pa.duration("s"),
        pa.time64("us"),
    ]
)


@bounded
@given(
    types=st.dictionaries(st.sampled_from([*PARAMETERS, "label", "a\nb", "image"]), PARQUET_TYPES),
    rows=st.integers(0, 3),
    filled=st.booleans(),
)
def test_parquet_of_any_types_is_a_table_or_refused(
    types: dict[str, pa.DataType], rows: int, filled: bool, tmp_path: Path
) -> None:
    keys = pa.array([f"{row}.png" for row in range(rows)])
    columns: dict[str, pa.Array] = {"content": keys, "style": keys} if filled else {}
    columns |= {
        name: pa.nulls(rows, kind)
        for name, kind in types.items()
        if not (filled and name in ("content", "style"))
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    check_table(tmp_path / "t.parquet", sink.getvalue())


@bounded
@given(keys=st.lists(st.binary(max_size=5), min_size=1, max_size=3), role=st.sampled_from("cs"))
def test_text_that_is_no_utf8_is_refused(keys: list[bytes], role: str, tmp_path: Path) -> None:
    raw = pa.array(keys, pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    plain = pa.array([f"{row}.png" for row in range(len(keys))])
    sink = io.BytesIO()
    both = (text, plain) if role == "c" else (plain, text)
    pq.write_table(pa.table({"content": both[0], "style": both[1], "label": text}), sink)
    check_table(tmp_path / "t.parquet", sink.getvalue())


@bounded
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_job_file_or_refused(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(data)
    refused_in_one_line(lambda: make_config(load_job_file(str(file))))


TAGS = [
    "",
    "!!int ",
    "!!float ",
    "!!bool ",
    "!!timestamp ",
    "!!binary ",
    "!!python/name:os.x ",
    "*a ",
]
NAMES = st.sampled_from(list(JobConfig.model_fields)) | TEXT


@bounded
@given(
    options=st.dictionaries(NAMES, NESTED, max_size=4),
    tag=st.sampled_from(TAGS),
    said=st.text("abc019-:.,'\"[]{}#&*!|> \n", max_size=10),
)
def test_any_yaml_is_a_job_or_refused(
    options: dict[str, Any], tag: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    text = yaml.safe_dump(options | {"output": "o"}, allow_unicode=False)
    file.write_text(f"{text}content: {tag}{said}\n")
    refused_in_one_line(lambda: make_config(load_job_file(str(file))))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: &a [x, x]\n"
        + "".join(
            f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n"
            for a, b in zip("abcdefghijkl", "bcdefghijklm", strict=True)
        ),
        "gamma: &a [x, x, x, x, x, x, x, x]\n" * 1
        + "layers: &b [*a, *a, *a, *a, *a, *a, *a]\nactors: [*b, *b, *b, *b, *b, *b, *b, *b]\n",
        "content: !!float ''\n",
        "content: !!bool maybe\n",
        "content: !!timestamp never\n",
        "layers: 0-99999999999\n",
        f"size: {'9' * 5000}\n",
        "gamma: .nan\n",
        "num_gpus_per_actor: .inf\n",
        f"{'x' * 5000}: 1\n",
        "'a\\nb': 1\n\"c\\nd\": 2\n",
    ],
)
def test_job_files_made_to_break_a_reader_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("output: o\nstyle: s\n" + text)
    assert refused_in_one_line(lambda: make_config(load_job_file(str(file)))) is None


@bounded
@given(
    name=st.sampled_from(list(JobConfig.model_fields)),
    value=st.text("0123456789,-. einfa", max_size=8) | TEXT | NESTED,
)
def test_any_value_of_any_option_is_taken_or_refused(name: str, value: Any) -> None:
    given_options = {"content": "c", "style": "s", "output": "o", name: value}
    refused_in_one_line(lambda: make_config(given_options))


LOCATIONS = st.sampled_from(
    [
        *("", "~nobody/x", "x" * 300, "a\0b", "a\nb", "\udcff", "..", "*", "[", "://", "::"),
        *("file://", "zip://", "zip://a::file:///none.zip", "memory://", "nonsense://x", "dir://"),
        *("reference://", "filecache://x", "github://", "/dev/null", "dir://x::"),
    ]
)


@bounded
@given(
    option=st.sampled_from(["content", "style", "model", "table", "output"]),
    location=LOCATIONS | TEXT.filter(lambda text: "/" not in text),
)
def test_any_location_is_used_or_refused(
    option: str, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw(tmp_path / "in" / "a.png", 1).parent
    monkeypatch.chdir(folder)
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps({"content": location, "style": "a.png"}))
    options = {"content": str(folder), "style": str(folder), "model": "demo", "output": "o"}
    if option == "table":
        options |= {"pairing": "table", "table": str(table)}
    else:
        options[option] = location

    def start() -> None:
        config = make_config(options)
        prepare(config)
        Output(config.output)

    refused_in_one_line(start)
