"""``gie plugins``: what is installed, what it provides, and what is wrong with it."""

from __future__ import annotations

import warnings
from typing import Any

import click

from gie_core.cli.console import print_json, print_table, progress
from gie_core.cli.model import json_option
from gie_core.plugin.host import Owned, Plugin, PluginHost, PluginWarning, Status, default_host

__all__ = ["plugins"]

_COLOURS = {Status.ACTIVE: "green", Status.BLOCKED: "yellow", Status.FAILED: "bold red"}


@click.command("plugins", short_help="List plugins and what they provide.")
@json_option
def plugins(as_json: bool) -> None:
    """List the installed plugins, with what each provides.

    Everything that they declare is imported, so that what is broken shows.
    """
    with warnings.catch_warnings(), progress() as say:
        warnings.simplefilter("ignore", PluginWarning)  # the table says the same
        host = default_host()
        for plugin in host.plugins:
            say(f"loading {plugin.name}")
            _load(host, plugin)
    if as_json:
        print_json([_entry(plugin) for plugin in host.plugins])
    elif host.plugins:
        _print(host.plugins)
    else:
        click.echo("no plugin is installed; try: pip install 'gie-core[all]'")


def _load(host: PluginHost, plugin: Plugin) -> None:
    """Import what a plugin declares; the host notes what fails."""
    for declaration in list(plugin.declarations):
        host.load(Owned(declaration, plugin), lambda loaded: loaded)


def _provides(plugin: Plugin) -> dict[str, list[str]]:
    """Names of what a plugin declares, by kind."""
    found: dict[str, list[str]] = {}
    for declaration in plugin.declarations:
        found.setdefault(declaration.kind, []).append(declaration.name)
    return found


def _entry(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "provides": [
            {"kind": d.kind, "name": d.name, "summary": d.summary, "version": d.version}
            for d in plugin.declarations
        ],
        "error": plugin.error,
    }


def _print(found: list[Plugin]) -> None:
    from rich.text import Text

    rows = [
        (
            plugin.name,
            f"{plugin.distribution} {plugin.version}".strip(),
            Text(plugin.status.value, style=_COLOURS[plugin.status]),
            plugin.error or "; ".join(f"{k}: {', '.join(n)}" for k, n in _provides(plugin).items()),
        )
        for plugin in found
    ]
    print_table(["plugin", "distribution", "status", "provides, or what is wrong"], rows)
