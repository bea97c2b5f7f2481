"""A mistyped command line is one line that names the word and what was meant."""

from __future__ import annotations

import pytest

from styleid_ray.cli import COMMANDS
from styleid_ray.commandline.parse import parse
from styleid_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "which command? One of demo, stylize, "),
        ("stylze", "there is no command stylze; did you mean stylize?"),
        ("--versoin", "there is no option --versoin; did you mean --version?"),
        ("stylize --contnt a", "stylize has no option --contnt; did you mean --content?"),
        ("stylize --foo 1", "--foo; styleid-ray stylize --help-all lists its options"),
        ("stylize -x", "stylize has no option -x"),
        ("submit --storage-options {}", "submit has no option --storage-options"),
        ("retry out --output x", "retry has no option --output"),
        ("status out --no-json", "status has no option --no-json; did you mean --json?"),
        ("stylize --steps 3 --steps=4", "--steps is given twice"),
        ("stylize --inject --no-inject", "--inject is given twice"),
        ("stylize --size", "--size needs a value: N"),
        ("stylize --device --size 3", "--device needs a value: {auto,cpu,cuda}"),
        ("plan --json=yes", "--json takes no value: leave =yes out"),
        ("stylize --inject=True", "--inject takes no value: leave =True out"),
        ("stylize --inject=False", "--inject takes no value: write --no-inject"),
        ("status", "name a run: styleid-ray status RUN"),
        ("status a b", "'b' belongs to no option"),
        ("stylize photos", "'photos' belongs to no option"),
        ("export out --to x", "--format is missing"),
        ("export out --to x --format coc", "(got 'coc'); did you mean coco?"),
        ("report out --sample many", "--sample: must be a whole number (got 'many')"),
    ],
)
def test_a_mistake_is_one_line_with_the_word_and_the_remedy(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(words.split(), COMMANDS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "stylize --content=a --style b --output c --no-inject --style_share 0..0.5",
        "retry out --rejected --gamma 0.5",
        "plan --config job.yaml --rate 3 --json",
        "export out --to x --format coco",
        "evaluate",
        "status -- --strange-name",
        "submit --config job.yaml --no-wait",
        "preview --output x --gamma -1",
    ],
)
def test_words_that_a_command_takes_are_let_through(words: str) -> None:
    parse(words.split(), COMMANDS)


def test_a_command_gets_its_words_as_they_were_typed() -> None:
    call = parse(
        ["plan", "--config", "job.yaml", "--price", "2", "--json", "--no-inject", "--gamma", "-1"],
        COMMANDS,
    )
    assert call.func is COMMANDS["plan"]
    assert call.keywords == {
        "config": "job.yaml",
        "price": 2.0,
        "json": True,
        "options": {"inject": False, "gamma": "-1"},
    }
    call = parse(["report", "--to=None", "--port", "0", "out"], COMMANDS)
    assert call.keywords == {"output": "out", "to": "None", "port": 0}
