"""The command ``gie acme-swish``."""

from __future__ import annotations

import click

import gie_core
from gie_acme_swish.op import Swish


@click.command("acme-swish")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
def count_swish(model: str) -> None:
    """Count the swish activations of MODEL."""
    nodes = gie_core.build(model).graph.nodes
    count = sum(isinstance(node.op, Swish) for node in nodes)
    click.echo(f"{count} swish")
