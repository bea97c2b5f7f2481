"""Mistakes on the command line, each as one line that names the word and what was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from tyro.conf import FlagCreatePairsOff, Positional

from styleid_ray.commandline.offered import Offered, is_flag, written
from styleid_ray.config import flag
from styleid_ray.errors import ConfigError, suggestion
from styleid_ray.jobfile import value_fault

Command = Callable[..., int]


@dataclass
class _Grammar:
    """The words that a command takes."""

    flags: dict[str, str] = field(default_factory=dict)
    """Options without a value, as typed, and the option that each sets."""
    valued: dict[str, Any] = field(default_factory=dict)
    """Options with a value, and its type; None for one that the configuration checks."""
    forms: dict[str, str] = field(default_factory=dict)
    """How the values of options are written."""
    required: list[str] = field(default_factory=list)
    positional: int = 0
    needed: int = 0

    @classmethod
    def of(cls, command: Command) -> _Grammar:
        """The grammar of a command, by its parameters."""
        grammar = cls(flags={"--help": "--help", "-h": "--help"})
        parameters = inspect.signature(command).parameters
        for name, hint in get_type_hints(command, include_extras=True).items():
            if name == "return":
                continue
            kind, metadata = _unwrapped(hint)
            if isinstance(kind, type) and issubclass(kind, Offered):
                for option in kind.names:
                    grammar._add(option, bool if is_flag(option) else None)
                    grammar.forms[flag(option)] = kind.written.get(option) or written(option)
                continue
            required = parameters[name].default is inspect.Parameter.empty
            if Positional in metadata:
                grammar.positional += 1
                grammar.needed += required
                continue
            grammar._add(name, kind, pair=FlagCreatePairsOff not in metadata)
            if required:
                grammar.required.append(flag(name))
        return grammar

    def _add(self, name: str, kind: Any, pair: bool = True) -> None:
        option = flag(name)
        if kind is bool:
            self.flags |= {option: option} | ({f"--no-{option[2:]}": option} if pair else {})
        else:
            self.valued[option] = kind


def takes_options(command: Command) -> bool:
    """Whether a command takes options of a job."""
    return bool(_Grammar.of(command).forms)


def check(words: Sequence[str], commands: Mapping[str, Command]) -> None:
    """Raises ConfigError for words that no command takes; the values of a job's options are left
    for the configuration to check."""
    if not words:
        raise ConfigError(f"which command? One of {_listed(commands)}; --help explains them")
    command, *rest = words
    if command not in commands:
        what = "option" if command.startswith("-") else "command"
        hint = suggestion(command, [*commands, "--help", "--version"])
        raise ConfigError(
            f"there is no {what} {command}" + (hint or f": the commands are {_listed(commands)}")
        )
    _check_command(command, rest, _Grammar.of(commands[command]))


def _check_command(command: str, words: list[str], grammar: _Grammar) -> None:
    given: list[str] = []
    positional: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            positional += left
        elif not _is_option(word):
            positional.append(word)
        else:
            typed, equals, value = word.partition("=")
            name = _check_option(command, typed, given, grammar)
            if name not in grammar.valued:
                if equals:
                    opposite = f"--no-{name[2:]}"
                    off = value.lower() in ("false", "no", "off", "0") and opposite in grammar.flags
                    remedy = f"write {opposite}" if off else f"leave {equals}{value} out"
                    raise ConfigError(f"{typed} takes no value: {remedy}")
                continue
            if not equals:
                value = next(left, None)
            if value is None or (not equals and _is_option(value)):
                form = grammar.forms.get(name, "")
                raise ConfigError(f"{typed} needs a value" + (f": {form}" if form else ""))
            if grammar.valued[name] is not None:
                _check_value(typed, value, grammar.valued[name])
    if "--help" in given:
        return
    if len(positional) > grammar.positional:
        raise ConfigError(
            f"{positional[grammar.positional]!r} belongs to no option: each takes one value, in "
            f"quotes if it has spaces; styleid-ray {command} --help lists the options"
        )
    if len(positional) < grammar.needed:
        raise ConfigError(f"name a run: styleid-ray {command} RUN")
    for option in grammar.required:
        if option not in given:
            raise ConfigError(
                f"{option} is missing; styleid-ray {command} --help shows how to give it"
            )


def _check_option(command: str, typed: str, given: list[str], grammar: _Grammar) -> str:
    """The name of an option, which is added to those given."""
    name = typed.replace("_", "-")
    name = grammar.flags.get(name, name)
    if name not in grammar.valued and name not in grammar.flags:
        hint = suggestion(typed, [*grammar.valued, *grammar.flags])
        all_of_them = "--help-all" if grammar.forms else "--help"
        raise ConfigError(
            f"{command} has no option {typed}"
            + (hint or f"; styleid-ray {command} {all_of_them} lists its options")
        )
    if name in given:
        raise ConfigError(f"{name} is given twice: leave one of them out")
    given.append(name)
    return name


def _check_value(option: str, value: str, kind: Any) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as e:
        raise ConfigError(value_fault(option, e)) from None


def _is_option(word: str) -> bool:
    return word.startswith("--") or (word[:1] == "-" and word[1:2].isalpha())


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    if get_origin(hint) is not Annotated:
        return hint, []
    inner, *metadata = get_args(hint)
    kind, more = _unwrapped(inner)
    return kind, metadata + more


def _listed(commands: Mapping[str, Command]) -> str:
    *most, last = commands
    return f"{', '.join(most)} and {last}"
