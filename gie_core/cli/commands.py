"""The command ``gie``: a table of subcommands, loaded when they run, and those of plugins."""

from __future__ import annotations

import difflib
import importlib
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click

import gie_core
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.plugin.declarations import CommandDeclaration
    from gie_core.plugin.host import Owned, PluginHost

__all__ = ["COMMANDS", "LazyCommand", "LazyGroup", "Settings", "gie"]


@dataclass
class Settings:
    """Global options that outlive the command.

    Attributes:
        traceback: show where an error comes from.
    """

    traceback: bool = False


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is, and its line in ``gie --help``."""

    location: str
    summary: str

    def load(self) -> click.Command:
        """Import its module."""
        module, _, attribute = self.location.partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))


COMMANDS = {
    "build": LazyCommand("gie_core.cli.build:build", "Build an engine file of a model."),
    "run": LazyCommand("gie_core.cli.run:run", "Run a model or an engine and print its outputs."),
    "inspect": LazyCommand(
        "gie_core.cli.inspect:inspect", "Show what becomes of a model, or what is in an engine."
    ),
    "bench": LazyCommand("gie_core.cli.bench:bench", "Time a model, beside a peer if you like."),
    "compare": LazyCommand(
        "gie_core.cli.compare:compare", "Find where a model's values leave the reference's."
    ),
    "merge-caches": LazyCommand(
        "gie_core.cli.merge_caches:merge_caches", "Make one timing cache of several."
    ),
    "plugins": LazyCommand("gie_core.cli.plugins:plugins", "List plugins and what they provide."),
    "demo": LazyCommand("gie_core.cli.demo:demo", "Read handwritten digits, from file to answer."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def invoke(self, ctx: click.Context) -> int:
        """Run the subcommand; its return value is no exit status."""
        super().invoke(ctx)
        return 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(owned.declaration.name for owned in _plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return COMMANDS[cmd_name].load()
        for owned in _plugin_commands():
            if owned.declaration.name == cmd_name:
                return _load(owned)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(_unknown(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_section(formatter, "Commands", [(n, c.summary) for n, c in COMMANDS.items()])
        declarations = [owned.declaration for owned in _plugin_commands()]
        _write_section(
            formatter, "Commands of plugins", [(d.name, d.summary) for d in declarations]
        )
        failed = [p.name for p in _host().plugins if p.error]
        if failed:
            formatter.write_paragraph()
            formatter.write_text(f"Plugins that failed: {', '.join(failed)}; see 'gie plugins'.")


def _write_section(
    formatter: click.HelpFormatter, title: str, rows: Sequence[tuple[str, str]]
) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _host() -> PluginHost:
    from gie_core.plugin.host import default_host

    return default_host()


def _plugin_commands() -> list[Owned[CommandDeclaration]]:
    return _host().commands()


def _load(owned: Owned[CommandDeclaration]) -> click.Command:
    from gie_core.plugin.host import PluginWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the error below says the same
        command: object = _host().load(owned, _checked)
    if not isinstance(command, click.Command):
        name = owned.declaration.name
        raise GieError(f"the command {name!r} cannot be loaded: {owned.plugin.error}")
    return command


def _checked(command: object) -> click.Command:
    if not isinstance(command, click.Command):
        raise TypeError(f"a command must be a click.Command, not a {type(command).__name__}")
    return command


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    failed = [p.name for p in _host().plugins if p.error]
    hint = f"; did you mean '{close[0]}'?" if close else ""
    broken = f" (these plugins failed: {', '.join(failed)})" if failed and not close else ""
    return f"there is no command '{name}'{hint}{broken}"


def _block(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    if names:
        ctx.with_resource(_blocking(names))


@contextmanager
def _blocking(names: Sequence[str]) -> Generator[None, None, None]:
    """Block plugins the way the environment does, so that everything in the process obeys."""
    from gie_core.plugin.host import default_host

    before = os.environ.get("GIE_BLOCK")
    os.environ["GIE_BLOCK"] = ",".join([*([before] if before else []), *names])
    default_host.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del os.environ["GIE_BLOCK"]
        else:
            os.environ["GIE_BLOCK"] = before
        default_host.cache_clear()


@click.group(
    "gie",
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--block",
    multiple=True,
    metavar="PLUGIN",
    expose_value=False,
    is_eager=True,  # before --help, which lists plugins' commands
    callback=_block,
    help="Do not import this plugin; may be repeated.",
)
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
@click.version_option(gie_core.__version__, message="gie %(version)s")
@click.pass_context
def gie(ctx: click.Context, traceback: bool) -> None:
    """Optimizes a trained network for one target and runs it as fast as that target allows."""
    ctx.ensure_object(Settings).traceback = traceback
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
