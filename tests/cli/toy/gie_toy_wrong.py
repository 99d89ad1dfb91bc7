"""A plugin whose command is none."""

from __future__ import annotations

from gie_core.plugin import CommandDeclaration, hookimpl

not_a_command = "nonsense"


@hookimpl
def gie_cli() -> list[CommandDeclaration]:
    return [CommandDeclaration(name="toy-wrong", factory="gie_toy_wrong:not_a_command")]
