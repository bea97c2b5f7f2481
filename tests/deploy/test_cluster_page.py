"""Every command of docs/cluster.md is one that the program named in it takes."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest

from styleid_ray import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
# Of programs that are no part of the project: the beginnings that the page may use.
KNOWN = [
    "docker build -f",
    "docker push",
    "export RAY_AUTH_MODE=token",
    "jq -R",
    "kubectl apply -f",
    "kubectl create secret generic styleid-ray-store",
    "kubectl delete rayjob styleid-ray",
    "kubectl get rayjob styleid-ray",
    "kubectl logs --follow --selector job-name=styleid-ray",
]


def parsed_by_ray(args: list[str]) -> None:
    """Raises a click exception when Ray has no such command, or not with these arguments."""
    import click
    from ray.scripts.scripts import cli as ray

    command: click.Command = ray
    while isinstance(command, click.Group):
        command = command.commands[args.pop(0)]
    command.make_context(command.name, args)


def test_the_page_has_commands_for_each_road() -> None:
    for begins in ("ray up cluster.yaml", "ray up deploy/", "kubectl apply", "styleid-ray submit"):
        assert any(command.startswith(begins) for command in COMMANDS), begins


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_each_command_is_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *args = shlex.split(command)
    for name, function in cli.COMMANDS.items():  # parsed, not run
        monkeypatch.setitem(cli.COMMANDS, name, functools.wraps(function)(lambda *_, **__: 77))
    if program == "styleid-ray":
        assert cli.main(args) == 77
    elif program == "ray":
        parsed_by_ray(args)
    elif program == "python":
        assert (ROOT / args[0]).is_file()
    else:
        assert any(command.startswith(known) for known in KNOWN)


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_the_projects_files_that_a_command_names_are_there(command: str) -> None:
    named = re.findall(r"(?:^|[ =])((?:(?:deploy|jobs)/\S+)|cluster\.yaml)", command)
    assert all((ROOT / name).is_file() for name in named)


def test_the_links_of_the_page_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    headings = {
        heading.lower().replace(" ", "-")
        for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_modules_are_submitted_with_options_that_they_have() -> None:
    for command in COMMANDS:
        _, dashes, module = command.partition(" -- python -m ")
        if not dashes:
            continue
        name, *words = shlex.split(module)
        source = "".join(path.read_text() for path in (ROOT / name).glob("*.py"))
        options = [word.lstrip("-") for word in words if word.startswith("--")]
        assert options
        assert all(option.replace("-", "_") in source for option in options), command
