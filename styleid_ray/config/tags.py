"""What is said once about an option, beside its type, default and meaning."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

Changes = Literal["picture", "pairs", "encoding", "nothing"]


@dataclass(frozen=True)
class Tag:
    """What an option changes, and where it matters."""

    changes: Changes
    """The picture of a pair, which pairs there are, how a picture is computed and stored, or
    nothing of the output. A run's identity and its pair ids follow from it."""
    usual: bool = False
    """Shown by `--help`; the others by `--help-all`."""
    written: str | None = None
    """Form of a value in help texts, where the type does not say it."""
    place: bool = False
    """Names a location, which may be another one for each command of a run."""
    needs: Literal["model", "styleid"] | None = None
    """Without effect for methods that have no model, or for all but StyleID."""
    pairings: tuple[str, ...] = ()
    """The only pairings that it has an effect with; empty: all."""
    only_if_used: bool = False
    """Part of a run's identity only where it differs from its default."""


class Options(BaseModel):
    """A group of options: frozen, without unknown keys."""

    group: ClassVar[str] = ""
    """Heading of its options in help texts and tables."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may be a password; jobfile shows what may be shown
    )


def tag_of(field: FieldInfo) -> Tag:
    """The tag of an option's field."""
    (tag,) = (m for m in field.metadata if isinstance(m, Tag))
    return tag


def flag(option: str) -> str:
    """An option's name on the command line."""
    return "--" + option.replace("_", "-")


def items(value: Any) -> Any:
    """The items of a comma-separated text; of None none, and a list as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return () if value is None else value


def digest(value: Any, size: int = 8) -> str:
    """Stable hash of a JSON-like value, as 2·size hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
