"""The two kinds of failure: a row error costs its own pairs, a fatal error stops the job.

A `RowError` is data: the batch job writes it to `errors/` with its stage and continues.
A `JobError` is one line for the user with a remedy; the command line prints it without a traceback
and exits with status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SYNONYMS = {
    "gpu": "cuda",
    "jpg": "jpeg",
    "fp32": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
}
"""Common words for values of options."""


class StyleIDError(Exception):
    """Base of every error that this package raises on purpose."""


class JobError(StyleIDError):
    """The job cannot run as requested; the message names a remedy, in one line.

    Unprintable characters, such as a newline in a file's name, become escapes. The message is kept
    apart from `args`, because Ray Data appends its own advice there.
    """

    def __init__(self, message: str) -> None:
        self.message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[JobError], tuple[str]]:
        return type(self), (self.message,)


class ConfigError(JobError):
    """An option, or a combination of options, is not valid."""


class SourceError(JobError):
    """A content, style or table source cannot be used: missing, empty or inconsistent."""


class ModelError(JobError):
    """A model cannot be loaded, or lacks something that the options need."""


class OutputError(JobError):
    """The output location cannot be used, or belongs to another run."""


class RowError(StyleIDError):
    """One picture or pair failed, at a stage: fetch, decode, stylize or encode."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


def first_line(error: BaseException) -> str:
    """The first line of an error's message, with the lines that continue its sentence; without a
    message, the name of its class."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    for line in rest:
        if not line[:1].islower() or first.rstrip().endswith((".", ":", "!", "?")):
            break
        first = f"{first.rstrip()} {line.rstrip()}"
    return first


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known word that was probably meant, or ''."""
    names = list(known)
    meant = [_SYNONYMS[word]] if _SYNONYMS.get(word) in names else []
    meant += difflib.get_close_matches(word, names, 1, cutoff=0.7)
    return f"; did you mean {meant[0]}?" if meant else ""
