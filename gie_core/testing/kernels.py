"""Checking kernel providers: every kernel against the reference and against double precision.

::

    check_node(MyProvider(), "conv(%x, %w) {strides = [2, 2]}",
               inputs={"x": "f32[2, 3, 9, 9]"}, constants={"w": "f32[4, 3, 3, 3]"})

runs the kernel on seeded random data, in several memory layouts, on read-only operands, with the
memory that it allocates poisoned, and twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from gie_core.builder.kernels import Kernel, KernelProvider
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op, OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import blobs, format_graph
from gie_core.ir.types import Array, DType
from gie_core.ops import core_ops
from gie_core.ops.run import run_graph
from gie_core.runtime.target import HOST, Target
from gie_core.testing.inputs import random_inputs
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


def _strided(array: Array) -> Array:
    """The same elements, two apart along the last axis."""
    return np.repeat(array, 2, axis=-1)[..., ::2]


def _reversed(array: Array) -> Array:
    """The same elements, from the last to the first in memory."""
    backwards = (slice(None, None, -1),) * array.ndim
    return np.array(array[backwards])[backwards]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.array,
    "Fortran": lambda array: np.array(array, order="F"),
    "strided": lambda array: _strided(array) if array.ndim else array,
    "reversed": lambda array: _reversed(array) if array.ndim else array,
}
"""How an operand may lie in memory: each makes a copy with equal elements."""

TOLERANCES = {DType.F64: 1e-13, DType.F32: 1e-6, DType.F16: 2e-3, DType.BF16: 1e-2}
"""Relative error in the Frobenius norm that a result of a type may have."""


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
    """Check the kernel of one node, see ``graph_text`` and ``check_graph``.

    Raises:
        AssertionError: as ``check_graph``.
    """
    check_graph(provider, graph_text(call, inputs, constants), **options)


def check_graph(
    provider: KernelProvider,
    text: str,
    *,
    sizes: Mapping[str, int] | None = None,
    tolerance: float | None = None,
    exact: bool = False,
    ops: OpRegistry | None = None,
    target: Target = HOST,
) -> None:
    """Run every node by the provider's kernel and compare the outputs.

    They are compared with the references' answers in double precision, or in the given one where
    the text can't be widened. Integers and booleans must be equal.

    Args:
        provider: must support every node.
        text: a graph; large constants (``blob "w"``) are random.
        sizes: extents of symbols.
        tolerance: relative error in the Frobenius norm; by default one that fits the type.
        exact: the same bits as the reference's (any NaN equals any other).
        ops: all ops that occur; by default the core's.
        target: where to run.

    Raises:
        AssertionError: a node is not supported, an answer is wrong, differs between layouts of the
            operands or changes after it was given, or an operand was written to.
    """
    ops = ops or core_ops()
    graph = parse_with_blobs(text, ops)
    kernels = {node: _kernel(provider, node, target) for node in graph.nodes}
    oracle = graph if exact else _in_double(graph, ops)
    previous: list[tuple[Array, Array]] = []
    for seed, (layout, arrange) in enumerate(LAYOUTS.items()):
        inputs = random_inputs(graph, np.random.default_rng(seed % 2), sizes)
        wanted = _reference(oracle, inputs)
        answers = _run(graph, kernels, [_read_only(arrange(array)) for array in inputs])
        for name, answer, right in zip(graph.output_names, answers, wanted, strict=True):
            _compare(f"{name} ({layout} operands)", answer, right, tolerance, exact)
        for answer, copy in previous:
            np.testing.assert_array_equal(answer, copy, "a later run changed this answer")
        previous = [(answer, answer.copy()) for answer in answers]


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


def relative_error(answer: Array, right: Array) -> float:
    """‖answer − right‖ / ‖right‖ over the finite elements of ``right``, in double precision."""
    finite = np.isfinite(right.astype(np.float64))
    exact = right.astype(np.float64)[finite]
    error = np.linalg.norm(answer.astype(np.float64)[finite] - exact)
    norm = np.linalg.norm(exact)
    return float(error / norm if norm else error)


@contextmanager
def poisoned_memory() -> Generator[None, None, None]:
    """Let ``np.empty`` and ``np.empty_like`` return what no kernel can take for an answer."""

    def poisoned(allocate: Callable[..., Array]) -> Callable[..., Array]:
        def replacement(*args: Any, **options: Any) -> Array:
            array = allocate(*args, **options)
            if array.dtype != object:
                array.reshape(-1).view(np.uint8)[...] = 0xFF  # NaN, or an extreme integer
            return array

        return replacement

    with (
        mock.patch.object(np, "empty", poisoned(np.empty)),
        mock.patch.object(np, "empty_like", poisoned(np.empty_like)),
    ):
        yield


def _kernel(provider: KernelProvider, node: Node, target: Target) -> Kernel:
    support = provider.supports(node, target)
    assert support.ok, f"{node} is not supported: {support.reason}"
    return provider.kernel(node, target)


def _run(graph: Graph, kernels: Mapping[Node, Kernel], inputs: Sequence[Array]) -> list[Array]:
    def compute(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        with np.errstate(all="ignore"), poisoned_memory():
            return kernels[node](op, operands)

    return run_graph(graph, inputs, compute)


def _reference(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    return run_graph(
        graph,
        [
            array.astype(value.tensor.dtype.numpy, copy=False)
            for value, array in zip(graph.inputs, inputs, strict=True)
        ],
    )


def _in_double(graph: Graph, ops: OpRegistry) -> Graph:
    """The graph with f64 for every other float; itself where that makes no sense."""
    text = re.sub(r"\b(f16|bf16|f32)\b", "f64", format_graph(graph))
    wide = {
        key: data.astype(np.float64) if DType.of(data.dtype).is_float else data
        for key, data in blobs(graph).items()
    }
    try:
        return parse_graph(text, ops, wide)
    except GieError:  # a cast between floats, for example
        return graph


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _compare(name: str, answer: Array, right: Array, tolerance: float | None, exact: bool) -> None:
    assert answer.shape == right.shape, f"{name} has shape {answer.shape}, not {right.shape}"
    dtype = DType.of(answer.dtype)
    if not dtype.is_float:
        np.testing.assert_array_equal(answer, right, name)
        return
    if exact:
        np.testing.assert_array_equal(_bits(answer), _bits(right), name)
        return
    special = ~np.isfinite(right.astype(np.float64))
    np.testing.assert_array_equal(
        answer[special].astype(np.float64), right[special].astype(np.float64), name
    )
    error = relative_error(answer, right)
    allowed = TOLERANCES[dtype] if tolerance is None else tolerance
    assert error <= allowed, f"{name} has relative error {error:.2g}, more than {allowed:.2g}"


def _bits(array: Array) -> Array:
    """Elements that compare equal only if they have the same bits; all NaN are one."""
    canonical = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array)
    return np.ascontiguousarray(canonical).view(f"u{array.dtype.itemsize}")
