"""The executable specification of a graph at each stage of a build.

``verify(graph, stage)`` raises a ``VerifyError`` that prints the graph with the
message under the node. The rules are the functions in ``RULES``; each yields one
``Problem`` per violation.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gie_core.errors import GieError
from gie_core.ir.dims import certainly_differ, free_symbols
from gie_core.ir.graph import Graph, Node, Use, Value
from gie_core.ir.inference import check_arity, infer_types
from gie_core.ir.op import OpError, Trait, UnknownTypesError
from gie_core.ir.quantization import Quantization
from gie_core.ir.text import format_graph, format_node, identity_key
from gie_core.ir.types import TensorType, may_equal, type_of

__all__ = ["Problem", "Stage", "VerifyError", "verify"]

CONTEXT_LINES = 6


class Stage(enum.Enum):
    """How far a graph has come."""

    IMPORTED = "imported"
    """As the importer made it, or after passes that rewrite: plain ops only."""
    GROUPED = "grouped"
    """After the passes that group: ``group`` nodes hold what may run as one kernel."""


@dataclass(frozen=True)
class Problem:
    """A violated rule: the message, and the node (or ``None`` for the graph as a whole)."""

    message: str
    node: Node | None = None


class VerifyError(GieError):
    """A graph violates its specification.

    Attributes:
        problem: the first violation.
    """

    def __init__(self, graph: Graph, problem: Problem, stage: Stage) -> None:
        self.problem = problem
        self.graph_text = annotate(graph, problem)
        at = f" at {format_node(problem.node).split(' {', 1)[0]}" if problem.node else ""
        super().__init__(
            f"graph {graph.name!r} is not valid ({stage.value}): "
            f"{problem.message}{at}\n{self.graph_text}"
        )


def verify(graph: Graph, stage: Stage = Stage.IMPORTED) -> None:
    """Check a graph and the graphs inside its nodes.

    Raises:
        VerifyError: it violates a rule of this stage.
    """
    for rule in RULES:
        for problem in rule(graph, stage):
            raise VerifyError(graph, problem, stage)
    for node in graph.nodes:
        for body in node.op.subgraphs().values():
            # Groups don't nest, but branches and loop bodies hold groups like the graph around.
            verify(body, Stage.IMPORTED if node.op.name == "group" else stage)


def annotate(graph: Graph, problem: Problem) -> str:
    """The lines of the graph around the node, with the message under it."""
    lines = format_graph(graph, identity_key).splitlines()
    at = next(
        (i for i, line in enumerate(lines) if problem.node and _is_line_of(line, problem.node)), 0
    )
    marked = [*lines[: at + 1], f"  ^^^ {problem.message}", *lines[at + 1 :]]
    first, last = max(0, at - CONTEXT_LINES), min(len(marked), at + CONTEXT_LINES + 2)
    return "\n".join(["  …"] * (first > 0) + marked[first:last] + ["  …"] * (last < len(marked)))


def _is_line_of(line: str, node: Node) -> bool:
    return bool(node.results) and line.strip().startswith(format_node(node).split(" ", 1)[0])


def _names_are_unique(graph: Graph, stage: Stage) -> Iterator[Problem]:
    seen: set[str] = set()
    for value in graph.values():
        if value.name in seen:
            yield Problem(f"two values are called %{value.name}", value.node)
        seen.add(value.name)


def _operands_are_defined_before(graph: Graph, stage: Stage) -> Iterator[Problem]:
    defined = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        for operand in node.operands:
            if operand is not None and operand not in defined:
                yield Problem(f"%{operand.name} is read before it is defined", node)
        defined.update(node.results)
    for value in graph.outputs:
        if value not in defined:
            yield Problem(f"the output %{value.name} is not defined")
    for state in graph.states:
        if (
            state.input not in graph.inputs
            or state.output not in defined
            or state.input.type != state.output.type
        ):
            yield Problem(f"the state %{state.input.name} has no successor of its type")
        elif state.output not in graph.outputs:
            yield Problem(
                f"the state %{state.input.name} becomes %{state.output.name}, which is no output, "
                "so that no caller could hand it to the next run"
            )


def _uses_are_recorded(graph: Graph, stage: Stage) -> Iterator[Problem]:
    uses = {value: set(value.uses) for value in graph.values()}
    for node in graph.nodes:
        for index, operand in enumerate(node.operands):
            if operand is not None and Use(node, index) not in uses[operand]:
                yield Problem(f"%{operand.name} does not know that operand {index} reads it", node)


def _operands_fit(graph: Graph, stage: Stage) -> Iterator[Problem]:
    for node in graph.nodes:
        try:
            check_arity(node.op, node.operands)
        except OpError as error:
            yield Problem(str(error), node)


def _types_follow(graph: Graph, stage: Stage) -> Iterator[Problem]:
    for constant in graph.constants:
        if constant.data is None or type_of(constant.data) != constant.type:
            yield Problem(f"the constant %{constant.name} does not have its type {constant.type}")
    for node in graph.nodes:
        try:
            inferred = infer_types(node.op, node.operands)
        except UnknownTypesError as error:
            if not _declares_types(node):
                yield Problem(str(error), node)
            continue
        except OpError as error:
            yield Problem(str(error), node)
            continue
        if len(inferred) != len(node.results):
            yield Problem(
                f"{node.op.name} has {len(inferred)} results here, not {len(node.results)}", node
            )
        for result, expected in zip(node.results, inferred, strict=False):
            if not may_equal(result.type, expected):
                yield Problem(
                    f"%{result.name} is {result.type}, but {node.op.name} makes {expected}", node
                )


def _declares_types(node: Node) -> bool:
    """The op has no rule for these operands, so what the node declares counts."""
    return Trait.OPAQUE in node.op.traits


def _quantizations_fit(graph: Graph, stage: Stage) -> Iterator[Problem]:
    for value in graph.values():
        if value.quantization is not None and not _fits(value.quantization, value):
            yield Problem(
                f"the quantization of %{value.name} has {len(value.quantization.scale)} scales "
                f"at axis {value.quantization.axis}, which does not fit {value.type}",
                value.node,
            )


def _fits(quantization: Quantization, value: Value) -> bool:
    if not isinstance(value.type, TensorType):
        return False
    axis, shape = quantization.axis, value.type.shape
    if axis is None or shape is None:
        return True
    return axis < len(shape) and not certainly_differ(shape[axis], len(quantization.scale))


def _symbols_are_bound(graph: Graph, stage: Stage) -> Iterator[Problem]:
    """A symbol in an attribute must be a dimension of an input or of an earlier result."""
    bound: set[str] = set()
    for value in graph.inputs:
        if isinstance(value.type, TensorType):
            bound.update(_lone_symbols(value.type))
    for node in graph.nodes:
        unbound = node.op.symbols() - bound
        if unbound:
            yield Problem(f"the dimension {min(unbound)!r} is not known here", node)
        for result in node.results:
            if isinstance(result.type, TensorType):
                bound.update(_lone_symbols(result.type))


def _lone_symbols(type_: TensorType) -> set[str]:
    """Those that are a dimension by themselves; n cannot be told from 2*n or n*m."""
    return {str(dim) for dim in type_.shape or () if str(dim) in free_symbols(dim)}


def _groups_belong_to_stage(graph: Graph, stage: Stage) -> Iterator[Problem]:
    for node in graph.nodes:
        if node.op.name == "group" and stage is not Stage.GROUPED:
            yield Problem("groups may only be made by the passes that group", node)


RULES: tuple[Callable[[Graph, Stage], Iterator[Problem]], ...] = (
    _names_are_unique,
    _operands_are_defined_before,
    _uses_are_recorded,
    _operands_fit,
    _types_follow,
    _quantizations_fit,
    _symbols_are_bound,
    _groups_belong_to_stage,
)
