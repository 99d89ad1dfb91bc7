"""The values inside a network while it runs: of an engine, of the reference, of onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gie_core.cli.peers import OnnxRuntime
from gie_core.engine.engine import Engine
from gie_core.engine.plan import Step
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op
from gie_core.ops.group import Group
from gie_core.ops.run import compute_node, run_graph

__all__ = ["Traced", "Watch", "names_in", "trace_engine", "trace_onnxruntime", "trace_reference"]

Feed = Mapping[str, Any]


@dataclass(frozen=True)
class Traced:
    """A value that a network computed.

    Args:
        name: of the value.
        op: that computed it; "" if nobody knows.
        sources: nodes of the imported model that the computing node covers.
        kernel: who ran it.
        value: an array, valid until the watcher returns.
    """

    name: str
    op: str
    sources: tuple[str, ...]
    kernel: str
    value: Any


Watch = Callable[[Traced], None]


def names_in(graph: Graph) -> Iterator[str]:
    """Names of all values that nodes compute, those in the bodies of nodes included."""
    for node in graph.nodes:
        yield from (result.name for result in node.results)
        for body in node.op.subgraphs().values():
            yield from names_in(body)


def trace_engine(engine: Engine, feed: Feed, watch: Watch) -> dict[str, Any]:
    """Run an engine and look at what each step computes; returns the outputs by name.

    Raises:
        GieError: an input is missing or does not fit, or a kernel failed.
    """

    def tap(step: Step, results: Sequence[Any]) -> None:
        if not step.provider:  # a copy into another format
            return
        node = step.node
        kernel = f"{step.provider} {step.candidate}".rstrip()
        for value, array in zip(node.results, results, strict=True):
            watch(Traced(value.name, node.op.name, node.sources, kernel, array))

    return engine.context().run(feed, tap=tap)


def trace_reference(graph: Graph, feed: Feed, watch: Watch) -> dict[str, Any]:
    """Run a graph by its ops' references, groups node by node; returns the outputs by name.

    Raises:
        GieError: an input is missing or does not fit, or an op has no reference.
    """

    def compute(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        if isinstance(op, Group):
            results = tuple(run_graph(op.body, operands, compute))
        else:
            results = compute_node(node, op, operands)
        for value, array in zip(node.results, results, strict=True):
            watch(Traced(value.name, op.name, node.sources, "reference", array))
        return results

    outputs = run_graph(graph, _in_order(graph, feed), compute)
    return dict(zip(graph.output_names, outputs, strict=True))


def trace_onnxruntime(
    model: Path, graph: Graph, feed: Feed, watch: Watch, *, threads: int
) -> dict[str, Any]:
    """Run an ONNX model in onnxruntime, node by node; returns the outputs by name.

    Args:
        model: the file.
        graph: what the importer makes of it: says which nodes the values come from.
        feed: inputs by name.
        watch: looks at the values of the main graph.
        threads: that work on one node.

    Raises:
        GieError: onnxruntime is not installed, or does not run the model.
    """
    nodes = {result.name: node for node in graph.nodes for result in node.results}
    found = OnnxRuntime(model, threads=threads, values=nodes).run(feed)
    for name, node in nodes.items():
        if name in found:
            watch(Traced(name, node.op.name, node.sources, "onnxruntime", found[name]))
    return {name: found[name] for name in graph.output_names if name in found}


def _in_order(graph: Graph, feed: Feed) -> list[Any]:
    missing = [value.name for value in graph.inputs if value.name not in feed]
    if missing:
        given = ", ".join(feed) or "none"
        raise GieError(
            f"{graph.name} has an input {missing[0]!r}, but the network it is compared with has "
            f"other inputs: {given}"
        )
    return [feed[value.name] for value in graph.inputs]
