"""Options of a job as a command offers them, read off the configuration."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, TypedDict, get_args, get_origin

import tyro
from tyro.conf import arg
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from styleid_ray.analysis.options import OPTIONS as ANALYZED
from styleid_ray.config import TAGS, JobConfig, StyleParams, group_of
from styleid_ray.preview.sweep import OPTIONS as PREVIEWED
from styleid_ray.preview.sweep import SWEPT

_CONTROLS = {
    "gamma": "Query preservation: 1 keeps the content's queries (layout), 0 the stylised ones "
    "(style). A number; a schedule over the sampling steps, linear:0.9:0.5 or cosine:0.75:0.375; "
    "or either per layer, 6-8=0.9,9-11=0.5.",
    "temperature": "Attention temperature: factor on the attention logits, above 1 sharpens. "
    "Written as --gamma.",
}
"""The options that are drawn or listed elsewhere, where they have one value."""


def written(name: str) -> str:
    """How a value of an option is written: {one,of,these}, N, NUMBER, or the form in its tag."""
    return TAGS[name].written or _form(JobConfig.model_fields[name].annotation)


def _form(kind: Any) -> str:
    kinds = [one for one in get_args(kind) if one is not NoneType]
    if get_origin(kind) is Literal:
        return f"{{{','.join(kinds)}}}"
    if get_origin(kind) is Annotated or len(kinds) == 1:
        return _form(kinds[0])
    return {int: "N", float: "NUMBER"}.get(kind, "TEXT")


class Offered(dict[str, Any]):
    """Options given to a command, by name: a flag as a bool, any other as the text that was typed,
    which the configuration checks."""

    names: ClassVar[Sequence[str]]
    written: ClassVar[Mapping[str, str]] = {}
    """Forms of values in help texts, in place of those of the tags."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """Help texts in place of those of the configuration."""
    has_defaults: ClassVar[bool] = True
    """Whether an option left out has its default, rather than the value of an existing run."""

    @classmethod
    def group_of(cls, name: str) -> str:
        """The heading of an option."""
        return group_of(name)


class JobOptions(Offered):
    """Every option."""

    names = tuple(JobConfig.model_fields)


class SubmitOptions(Offered):
    """The job server has an address of its own, and shows the command line to all who reach it."""

    names = tuple(n for n in JobConfig.model_fields if n not in ("address", "storage_options"))


class RetryOptions(Offered):
    """Options that change nothing of a run, locations, and parameters of pairs that are made again;
    not those that begin or extend a run."""

    names = tuple(
        name
        for name, tag in TAGS.items()
        if (tag.changes == "nothing" or tag.place or name in StyleParams.model_fields)
        and name not in ("output", "extend")
    )
    has_defaults = False

    @classmethod
    def group_of(cls, name: str) -> str:
        """Parameters apart, since only --rejected takes them."""
        only = name in StyleParams.model_fields
        return "--rejected" if only else group_of(name)


class AnalyzeOptions(Offered):
    """Options of an analysis, in which nothing is drawn."""

    names = ANALYZED
    written = dict.fromkeys(_CONTROLS, "NUMBER|SCHEDULE")
    meanings = _CONTROLS


class PreviewOptions(Offered):
    """Options of a preview, some of which list values."""

    names = PREVIEWED
    written: ClassVar[Mapping[str, str]] = {
        name: f"{written(name)}{';' if name in _CONTROLS else ','}..." for name in SWEPT
    }


# Without a prefix: the options are flat.
Job = Annotated[JobOptions, arg(name="")]
Submit = Annotated[SubmitOptions, arg(name="")]
Retry = Annotated[RetryOptions, arg(name="")]
Analyze = Annotated[AnalyzeOptions, arg(name="")]
Preview = Annotated[PreviewOptions, arg(name="")]


def is_flag(name: str) -> bool:
    """Whether an option is switched on and off, by its name and --no-NAME."""
    return JobConfig.model_fields[name].annotation is bool


def default_text(name: str) -> str:
    """The default of an option as it is typed; empty where its description says what happens."""
    field = JobConfig.model_fields[name]
    if field.is_required() or field.default in (None, ()):
        return ""
    default = field.default
    return f"{default:_}" if isinstance(default, int) and default > 99_999 else _typed(default)


def registry(everything: bool = True) -> ConstructorRegistry:
    """How tyro shows `Offered` options: in their groups, and with the unusual ones or without."""
    rules = ConstructorRegistry()

    @rules.struct_rule
    def _groups(info: StructTypeInfo) -> StructConstructorSpec | None:
        if not (isinstance(info.type, type) and issubclass(info.type, Offered)):
            return None
        groups: dict[str, dict[str, Any]] = {}
        for name in info.type.names:
            if everything or TAGS[name].usual:
                groups.setdefault(info.type.group_of(name), {})[name] = _argument(info.type, name)
        fields = [
            StructFieldSpec(
                name=group,
                type=_given(group, arguments),
                default=tyro.MISSING,
                helptext=None,
            )
            for group, arguments in groups.items()
        ]
        return StructConstructorSpec(instantiate=dict, fields=tuple(fields))

    return rules


def _given(group: str, arguments: dict[str, Any]) -> Any:
    """A group's options as a TypedDict, in which none is required."""
    Given = TypedDict("Given", arguments, total=False)  # pyright: ignore[reportArgumentType]
    return Annotated[Given, arg(name=group)]


def _argument(offered: type[Offered], name: str) -> Any:
    meaning = offered.meanings.get(name) or JobConfig.model_fields[name].description or ""
    default = default_text(name) if offered.has_defaults and not is_flag(name) else ""
    return Annotated[
        bool if is_flag(name) else str,
        arg(
            help=" ".join(meaning.split()),
            metavar=None if is_flag(name) else offered.written.get(name) or written(name),
            help_behavior_hint=f"(default: {default})" if default else "",
        ),
    ]


def _typed(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
