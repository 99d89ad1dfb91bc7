"""Checking kernel providers: every candidate against the reference in double precision.

::

    check_node(MyProvider(), "conv(%x, %w) {strides = [2, 2]}",
               inputs={"x": "f32[2, 3, 9, 9]"}, constants={"w": "f32[4, 3, 3, 3]"})

runs each candidate on seeded random data in memory that lies exactly as its formats say: dense,
and where they permit it as a slice of a larger tensor, strided, reversed, transposed, broadcast
and in place. Results and workspace are poisoned, with guard bytes around, and operands read-only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gie_core.ir.op import OpRegistry
from gie_core.ir.text import format_graph
from gie_core.kernels.provider import KernelProvider
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target
from gie_core.testing.comparing import Tolerance, relative_error
from gie_core.testing.functions import LAYOUTS
from gie_core.testing.inputs import random_inputs
from gie_core.testing.judge import Judge, isolate
from gie_core.testing.memory import poisoned_memory
from gie_core.testing.node import calls_of, problems_of, static
from gie_core.testing.passes import parse_with_blobs

__all__ = [
    "LAYOUTS",
    "check_graph",
    "check_node",
    "check_unsupported",
    "graph_text",
    "poisoned_memory",
    "relative_error",
]


def graph_text(
    call: str,
    inputs: Mapping[str, str],
    constants: Mapping[str, str] | None = None,
    results: Sequence[str] = ("result",),
) -> str:
    """The text of a graph with one node.

    Args:
        call: the node, such as ``"conv(%x, %w) {pads = [1, 1, 1, 1]}"``.
        inputs: types by name; ``constants`` likewise, their elements are random.
        results: names for the node's results.
    """
    names = ", ".join(f"%{name}" for name in results)
    lines = [f"input %{name}: {type_}" for name, type_ in inputs.items()]
    lines += [f'const %{n}: {t} = blob "{n}"' for n, t in (constants or {}).items()]
    return "\n".join(["graph main {", *lines, f"{names} = {call}", f"return {names}", "}"])


def check_node(
    provider: KernelProvider,
    call: str,
    inputs: Mapping[str, str],
    constants: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Check the kernels of one node, see ``graph_text`` and ``check_graph``.

    Raises:
        AssertionError: as ``check_graph``.
    """
    check_graph(provider, graph_text(call, inputs, constants), **options)


def check_graph(
    provider: KernelProvider,
    text: str,
    *,
    sizes: Mapping[str, int] | None = None,
    tolerance: Tolerance = None,
    exact: bool = False,
    only: str = "",
    ops: OpRegistry | None = None,
    target: Target = HOST,
) -> None:
    """Run every candidate of every node, one node at a time, and compare the results.

    They are compared with the references' answers in double precision, or in the given one where
    the text can't be widened. Integers and booleans must be equal. Nodes that are not static with
    these sizes are run by ``function``, see ``FunctionProvider``.

    Args:
        provider: must support every node.
        text: a graph; large constants (``blob "w"``) are random.
        sizes: extents of symbols; 3 for the others.
        tolerance: relative error in the Frobenius norm, one for all or by type; by default one
            that fits the results' types, and those that operands or constants were narrowed to.
        exact: the same bits as the reference's (any NaN equals any other).
        only: runs no candidates but those with this in their name.
        ops: all ops that occur; by default the core's.
        target: where to run.

    Raises:
        AssertionError: a node is not supported, a candidate's claims make no sense, an answer is
            wrong or depends on more than the operands, or memory was written that is not a
            result's. It names all candidates that failed, and how, and gives the node.
    """
    ops = ops or core_ops()
    graph = static(parse_with_blobs(text, ops), sizes or {})
    feeds = [random_inputs(graph, np.random.default_rng(seed)) for seed in range(2)]
    calls = [calls_of(graph, inputs) for inputs in feeds]
    for node in graph.nodes:
        single = isolate(node)
        judge = Judge(single, ops, tolerance, exact)
        problems = problems_of(provider, judge, [each[node] for each in calls], only, target)
        assert not problems, "\n".join([*problems, format_graph(single)])


def check_unsupported(
    provider: KernelProvider,
    call: str,
    inputs: Mapping[str, str],
    constants: Mapping[str, str] | None = None,
    *,
    match: str,
    target: Target = HOST,
) -> None:
    """Check that the provider rejects a node for a reason that ``match`` occurs in.

    Raises:
        AssertionError: it takes the node, or says something else.
    """
    (node,) = parse_with_blobs(graph_text(call, inputs, constants), core_ops()).nodes
    support = provider.supports(node, target)
    assert not support.ok, f"{call} is supported"
    assert match in support.reason, f"the reason is {support.reason!r}"
