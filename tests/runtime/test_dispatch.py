"""Nodes that are bound when their operands are there."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gie_core.ir.graph import Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format
from gie_core.kernels.provider import KernelError, Launch, Memory, NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.runtime.dispatch import Dispatcher
from gie_core.runtime.target import HOST, Target

REFERENCE = NamedProvider("reference", ReferenceProvider())
HALF = Format(DType.F16, (0, 1))
COLUMNS = Format(DType.F32, (1, 0))


SUM = " {axes = [0]}"


def node_of(op: str, shape: str, attributes: str = "") -> Node:
    text = f"graph g {{ input %x: f32[{shape}] %y = {op}(%x){attributes} return %y }}"
    (node,) = parse_graph(text, core_ops()).nodes
    return node


class Doubling(ArrayProvider):
    """Doubles where a relu is asked for, so that its use can be seen, and counts bindings."""

    def __init__(self) -> None:
        self.offered = 0
        self.bound: list[Memory] = []

    def accepts(self, node: Node) -> Support:
        return Support(node.op.name == "relu", "not relu")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.multiply(operands[0], 2, out=out[0])

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        self.offered += 1
        return [replace(each, workspace=3) for each in super().candidates(node, target)]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        self.bound.append(memory)
        return super().bind(node, candidate, memory)


class Summing(Doubling):
    """Sums up, and so has a small result whatever it reads."""

    def accepts(self, node: Node) -> Support:
        return Support.yes()

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.sum(operands[0], keepdims=True, out=out[0])

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        launches = super().bind(node, candidate, memory)
        self.bound[-1] = Memory((), ())  # a test looks at who holds the operands
        return launches


class First(Doubling):
    """Offers something else first."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self._changes = changes

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        (own,) = super().candidates(node, target)
        return [replace(own, name="special", **self._changes), own]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        assert candidate == "arrays"
        return super().bind(node, candidate, memory)


def run(dispatcher: Dispatcher, node: Node, *operands: Any) -> Array:
    (result,) = dispatcher.run(node, node.op, operands)
    return result


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_any_rank(shape: tuple[int, ...]) -> None:
    dispatcher = Dispatcher([NamedProvider("doubling", Doubling()), REFERENCE], HOST)
    node = node_of("relu", ", ".join("nmkl"[: len(shape)]))
    y = run(dispatcher, node, np.ones(shape, np.float32))
    assert y.shape == shape
    np.testing.assert_array_equal(y, np.full(shape, 2, np.float32))


# One array, or a new one, for each of five runs; how often the kernel is bound.
BINDINGS = [
    ("small ones are copied", 4, False, 1),
    ("one that is small is copied", 4, True, 1),
    ("large ones are read where they lie", 40_000, False, 5),
    ("one that is large stays bound", 40_000, True, 2),
]


@pytest.mark.parametrize(
    ("extent", "same", "bindings"), [case[1:] for case in BINDINGS], ids=[c[0] for c in BINDINGS]
)
def test_how_often_a_kernel_is_bound(extent: int, same: bool, bindings: int) -> None:
    provider = Summing()
    dispatcher = Dispatcher([NamedProvider("summing", provider)], HOST)
    node, x = node_of("reduce_sum", "n", SUM), np.empty(extent, np.float32)
    results: list[Array] = []
    for number in range(5):
        x = x if same else np.empty(extent, np.float32)
        x[:] = number
        results.append(run(dispatcher, node, x))
    assert [y.item() for y in results] == [number * extent for number in range(5)]
    assert len(provider.bound) == bindings


def test_operands_that_are_read_where_they_lie_are_not_kept() -> None:
    dispatcher = Dispatcher([NamedProvider("summing", Summing())], HOST)
    node = node_of("reduce_sum", "n", SUM)
    x = np.ones(40_000, np.float32)
    alive = weakref.ref(x)
    run(dispatcher, node, x)
    run(dispatcher, node, x)
    del x
    run(dispatcher, node, np.ones(40_000, np.float32))
    assert alive() is None


def test_results_are_the_callers() -> None:
    dispatcher = Dispatcher([NamedProvider("doubling", Doubling())], HOST)
    for extent in (2, 40_000):
        x = np.ones(extent, np.float32)
        first, second = (run(dispatcher, node_of("relu", "n"), x) for _ in range(2))
        first[:] = 7
        assert (second == 2).all()


def test_operands_are_contiguous_and_the_workspace_is_aligned() -> None:
    provider = Doubling()
    dispatcher = Dispatcher([NamedProvider("doubling", provider)], HOST)
    x = np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_array_equal(run(dispatcher, node_of("relu", "n, m"), x), 2 * x)
    (memory,) = provider.bound
    assert memory.operands[0].flags.c_contiguous
    assert memory.workspace.shape == (3,)
    assert memory.workspace.__array_interface__["data"][0] % 64 == 0


def test_providers_are_asked_once_for_a_shape() -> None:
    provider = Doubling()
    dispatcher = Dispatcher([NamedProvider("doubling", provider)], HOST)
    node = node_of("relu", "n")
    for extent in (1, 2, 1, 2, 1):
        run(dispatcher, node, np.ones(extent, np.float32))
    assert provider.offered == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"operands": (HALF,)},
        {"results": (HALF,)},
        {"operands": (COLUMNS,)},
        {"results": (COLUMNS,)},
        {"packed": DType.F16},
    ],
    ids=["half operand", "half result", "columns", "columns of the result", "half constants"],
)
def test_candidates_that_do_not_fit_arrays_are_passed_over(changes: dict[str, Any]) -> None:
    dispatcher = Dispatcher([NamedProvider("first", First(**changes))], HOST)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run(dispatcher, node_of("relu", "n, m"), x), 2 * x)


def test_nobody_runs_it() -> None:
    dispatcher = Dispatcher([NamedProvider("doubling", Doubling())], HOST)
    with pytest.raises(KernelError, match=r"nothing runs .*exp.* on host: doubling: not relu"):
        run(dispatcher, node_of("exp", "n"), np.ones(2, np.float32))
