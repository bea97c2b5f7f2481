from __future__ import annotations

import pickle

import pytest

from styleid_ray.errors import ConfigError, JobError, OutputError, first_line, suggestion


@pytest.mark.parametrize("kind", [JobError, ConfigError, OutputError])
def test_advice_that_ray_appends_on_the_way_to_the_driver_is_not_in_the_message(
    kind: type[JobError],
) -> None:
    error = kind("out/data cannot be written (No space left): make room there")
    error.args = (f"{error.args[0]}\nFailed to apply UDF transform after 1/1 attempts.",)
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is kind
    assert str(arrived) == "out/data cannot be written (No space left): make room there"


def test_a_newline_in_a_name_leaves_the_message_one_line() -> None:
    assert str(JobError("a\nb cannot be read")) == r"a\nb cannot be read"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("cannot connect, and it\nlooks like the name is wrong.\nMore", None),
        ("size mismatch for x:\n\tcopying a param", "size mismatch for x:"),
        ("no such file\nTraceback", "no such file"),
        ("", "ValueError"),
    ],
)
def test_the_first_line_of_a_message_ends_where_its_sentence_does(
    message: str, line: str | None
) -> None:
    whole = "cannot connect, and it looks like the name is wrong."
    assert first_line(ValueError(message)) == (line or whole)


def test_a_common_synonym_suggests_the_right_word() -> None:
    assert suggestion("gpu", ["auto", "cpu", "cuda"]) == "; did you mean cuda?"
    assert suggestion("contnet", ["content", "style"]) == "; did you mean content?"
    assert suggestion("nonsense", ["content", "style"]) == ""
