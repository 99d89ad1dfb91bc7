"""A plugin for tests of the command line: models are graphs in text form, in files called *.toy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gie_core.builder.importing import Imported, ModelError
from gie_core.builder.passes import PatternPass
from gie_core.builder.report import ForeignNode, ImportReport
from gie_core.errors import GieError
from gie_core.ir.graph import Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Support
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.plugin import (
    CommandDeclaration,
    ImporterDeclaration,
    KernelProviderDeclaration,
    PassDeclaration,
    hookimpl,
)


class Importer:
    def accepts(self, source: object) -> bool:
        return isinstance(source, Path) and source.suffix == ".toy"

    def load(self, source: object, **options: Any) -> Imported:
        unknown = options.keys() - {"foreign", "crash"}
        if unknown:
            raise GieError(f"the toy importer has no option {min(unknown)!r}")
        if "crash" in options:
            raise _CRASHES[options["crash"]]
        if not isinstance(source, Path):
            raise ModelError("not a file")
        report = ImportReport("toy", notes=["toys are for play"])
        report.native["Toy"] = 2
        if options.get("foreign"):
            report.foreign.append(ForeignNode("n1", "toy::Top", "tops only spin"))
        return Imported(parse_graph(source.read_text(), core_ops()), report)


_CRASHES: dict[object, BaseException] = {
    "key": KeyError("a\x1b[31mb\nc"),
    "eof": EOFError("it ends here"),
    "memory": MemoryError(),
    "interrupt": KeyboardInterrupt(),
    "model": ModelError("damaged\nat \x1b[31mnode"),
}


@dataclass(frozen=True)
class DropNeg(PatternPass):
    """−(−x) = x."""

    name = "toy-drop-neg"

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        inner = node.operands[0].node if node.op.name == "neg" and node.operands[0] else None
        if node.op.name != "neg":
            return None
        if inner is None or inner.op.name != "neg":
            return Refusal("a single neg is needed")
        return inner.operands[0]


class Kernels(ArrayProvider):
    def accepts(self, node: Node) -> Support:
        return Support.yes() if node.op.name == "relu" else Support.no("toys only do relu")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        out[0][...] = operands[0].clip(0)


@click.command("toy-hello")
@click.argument("name")
def hello(name: str) -> int:
    """Greet; whoever has the name of a crash crashes."""
    if name in _CRASHES:
        raise _CRASHES[name]
    click.echo(f"hello {name}")
    return 7


not_a_command: Callable[[], None] = lambda: None  # noqa: E731


@hookimpl
def gie_importers() -> list[ImporterDeclaration]:
    return [ImporterDeclaration(name="toy", factory="gie_toy:Importer", suffixes=(".toy",))]


@hookimpl
def gie_passes() -> list[PassDeclaration]:
    return [PassDeclaration(name="toy-drop-neg", factory="gie_toy:DropNeg")]


@hookimpl
def gie_kernel_providers() -> list[KernelProviderDeclaration]:
    return [KernelProviderDeclaration(name="toy-kernels", factory="gie_toy:Kernels")]


@hookimpl
def gie_cli() -> list[CommandDeclaration]:
    return [CommandDeclaration(name="toy-hello", factory="gie_toy:hello", summary="Say hello.")]
