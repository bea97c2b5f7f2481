"""The words of a command line as a call of a command. A mistake is one line that names the word
and what was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from tyro.conf import FlagCreatePairsOff, Positional

from styleid_ray.commandline.offered import Offered, is_flag, written
from styleid_ray.config import flag
from styleid_ray.errors import ConfigError, suggestion
from styleid_ray.jobfile import value_fault

Command = Callable[..., int]


@dataclass(frozen=True)
class _Option:
    """A word that begins with dashes."""

    name: str
    kind: Any
    """Type of its value, bool for a flag; None for a text that the configuration checks."""
    form: str = ""
    """How its value is written."""
    pair: bool = True
    """Whether a flag has a form --no-NAME."""
    on: bool = True
    """False for that form."""


@dataclass
class _Grammar:
    """The words that a command takes."""

    options: dict[str, _Option] = field(default_factory=dict)
    """By the word as it is typed."""
    positional: list[str] = field(default_factory=list)
    """Names of parameters."""
    job: str = ""
    """The parameter that takes the options of a job; empty for a command without them."""

    @classmethod
    def of(cls, command: Command) -> _Grammar:
        """The grammar of a command, by its parameters."""
        grammar, hints = cls(), get_type_hints(command, include_extras=True)
        for name in inspect.signature(command).parameters:
            kind, *metadata = get_args(hints[name])
            if isinstance(kind, type) and issubclass(kind, Offered):
                grammar.job = name
                for option in kind.names:
                    form = kind.written.get(option) or written(option)
                    grammar._add(_Option(option, bool if is_flag(option) else None, form))
            elif Positional in metadata:
                grammar.positional.append(name)
            else:
                grammar._add(_Option(name, kind, pair=FlagCreatePairsOff not in metadata))
        return grammar

    def _add(self, option: _Option) -> None:
        self.options[flag(option.name)] = option
        if option.kind is bool and option.pair:
            self.options[flag(f"no_{option.name}")] = replace(option, on=False)


def takes_options(command: Command) -> bool:
    """Whether a command takes options of a job."""
    return bool(_Grammar.of(command).job)


def command_of(words: Sequence[str], commands: Mapping[str, Command]) -> Command:
    """The command that words begin with. Raises ConfigError if there is none."""
    if not words:
        raise ConfigError(f"which command? One of {_listed(commands)}; --help explains them")
    if words[0] in commands:
        return commands[words[0]]
    what = "option" if words[0].startswith("-") else "command"
    hint = suggestion(words[0], [*commands, "--help", "--version"])
    raise ConfigError(
        f"there is no {what} {words[0]}" + (hint or f": the commands are {_listed(commands)}")
    )


def parse(words: Sequence[str], commands: Mapping[str, Command]) -> partial[int]:
    """The call that words stand for. Raises ConfigError for words that no command takes; the values
    of a job's options are left for the configuration to check."""
    run = command_of(words, commands)
    command, grammar = words[0], _Grammar.of(run)
    given: dict[str, Any] = {}
    positional: list[str] = []
    left = iter(words[1:])
    for word in left:
        if word == "--":
            positional += left
        elif not _is_option(word):
            positional.append(word)
        else:
            typed, equals, value = word.partition("=")
            option = _option(command, typed, grammar)
            if option.name in given:
                raise ConfigError(f"{flag(option.name)} is given twice: leave one of them out")
            given[option.name] = _value(option, typed, value if equals else None, left)
    if len(positional) > len(grammar.positional):
        raise ConfigError(
            f"{positional[len(grammar.positional)]!r} belongs to no option: each takes one value, "
            f"in quotes if it has spaces; styleid-ray {command} --help lists the options"
        )
    given |= dict(zip(grammar.positional, positional, strict=False))
    return _call(command, run, grammar, given)


def _call(command: str, run: Command, grammar: _Grammar, given: dict[str, Any]) -> partial[int]:
    parameters = inspect.signature(run).parameters
    arguments = {name: value for name, value in given.items() if name in parameters}
    if grammar.job:
        arguments[grammar.job] = {n: x for n, x in given.items() if n not in parameters}
    for name, parameter in parameters.items():
        if name not in arguments and parameter.default is inspect.Parameter.empty:
            raise ConfigError(
                f"name a run: styleid-ray {command} RUN"
                if name in grammar.positional
                else f"{flag(name)} is missing; styleid-ray {command} --help shows how to give it"
            )
    return partial(run, **arguments)


def _option(command: str, typed: str, grammar: _Grammar) -> _Option:
    option = grammar.options.get(typed.replace("_", "-"))
    if option is None:
        hint = suggestion(typed, ["--help", *grammar.options])
        all_of_them = "--help-all" if grammar.job else "--help"
        raise ConfigError(
            f"{command} has no option {typed}"
            + (hint or f"; styleid-ray {command} {all_of_them} lists its options")
        )
    return option


def _value(option: _Option, typed: str, value: str | None, left: Iterator[str]) -> Any:
    """The value of an option, typed after "=" or as the next of the words that are left."""
    if option.kind is bool:
        if value is None:
            return option.on
        off = value.lower() in ("false", "no", "off", "0") and option.pair and option.on
        remedy = f"write {flag(f'no_{option.name}')}" if off else f"leave ={value} out"
        raise ConfigError(f"{typed} takes no value: {remedy}")
    if value is None:
        value = next(left, None)
        if value is None or _is_option(value):
            raise ConfigError(f"{typed} needs a value" + f": {option.form}" * bool(option.form))
    try:
        return value if option.kind is None else TypeAdapter(option.kind).validate_python(value)
    except ValidationError as e:
        raise ConfigError(value_fault(typed, e)) from None


def _is_option(word: str) -> bool:
    return word.startswith("--") or (word[:1] == "-" and word[1:2].isalpha())


def _listed(commands: Mapping[str, Command]) -> str:
    *most, last = commands
    return f"{', '.join(most)} and {last}"
