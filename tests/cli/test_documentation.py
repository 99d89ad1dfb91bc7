"""docs/command-line.md knows every command and option."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gie_core.cli.commands import COMMANDS, gie

TEXT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
OPTIONS = [
    pytest.param(option, id=f"{name} {option.opts[-1]}")
    for name, command in {"gie": gie, **{n: c.load() for n, c in COMMANDS.items()}}.items()
    for option in command.params
    if isinstance(option, click.Option) and "--version" not in option.opts
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str) -> None:
    assert f"`gie {command}" in TEXT


@pytest.mark.parametrize("option", OPTIONS)
def test_option(option: click.Option) -> None:
    assert any(f"{name}{end}" in TEXT for name in option.opts for end in "` ,\n]=")
