"""Every command in the pages is one that the command line takes, and every link leads somewhere."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest

from styleid_ray import cli

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def commands(page: Path) -> list[str]:
    """The `styleid-ray` commands in a page's code blocks, without those that have an ellipsis."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"^(?: {4})?(styleid-ray .*)$", text, re.MULTILINE)
    return [line for line in dict.fromkeys(lines) if not re.search(r"…|\.\.\.|\$", line)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_of_a_page_is_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in cli.COMMANDS.items():  # parsed, not run
        monkeypatch.setitem(cli.COMMANDS, name, functools.wraps(function)(lambda *_, **__: 77))
    for command in commands(page):
        assert cli.main(shlex.split(command, comments=True)[1:]) == 77, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)]*)\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_each_module_that_the_architecture_page_names_exists() -> None:
    modules = {path.name for path in ROOT.joinpath("styleid_ray").rglob("*.py")}
    named = re.findall(r"\b(\w+\.py)\b", (ROOT / "docs" / "architecture.md").read_text())
    assert set(named) - {"test_package.py"} <= modules
