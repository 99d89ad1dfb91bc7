"""The host executor: values, memory, nested graphs, errors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.ir.graph import Graph, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.specialize import extents
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Support
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.ops.run import ExecutionError, bind_inputs
from gie_core.runtime.host import HostExecutor

REFERENCE = NamedProvider("reference", ReferenceProvider())


def graph_of(text: str) -> Graph:
    return parse_graph(text, core_ops())


class Runner:
    """Runs a graph at whatever sizes the inputs have."""

    def __init__(self, text: str, *providers: NamedProvider) -> None:
        self._graph = graph_of(text)
        self._executor = HostExecutor(self._graph, (), [*providers, REFERENCE])

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        sizes = bind_inputs(self._graph, inputs)
        return self._executor.context(sizes).run(inputs)


def executor_of(text: str, *providers: NamedProvider) -> Runner:
    return Runner(text, *providers)


def floats(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


class Doubling(ArrayProvider):
    """Claims every relu, and doubles instead, so that its use can be seen."""

    def accepts(self, node: Node) -> Support:
        return Support(node.op.name == "relu", "not relu")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.multiply(operands[0], 2, out=out[0])


class Failing(Doubling):
    """Claims every relu, and raises."""

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        raise RuntimeError("out of luck")


RELU = "graph g { input %x: f32[n] %y = relu(%x) return %y }"


def test_kernels_of_providers_run() -> None:
    executor = executor_of(RELU, NamedProvider("doubling", Doubling()))
    np.testing.assert_array_equal(executor.run([floats(-1, 2)])[0], [-2, 4])


def test_kernels_of_providers_run_inside_groups_and_branches() -> None:
    text = """graph g {
      input %c: bool[]
      input %x: f32[1]
      %y: f32[1] = if(%c, %x) {then_branch = graph t {
        input %x: f32[1]
        %a = relu(%x)
        return %a
      }, else_branch = graph e {
        input %x: f32[1]
        return %x
      }}
      %z: f32[1] = group(%y) {kind = "epilogue", body = graph b {
        input %x: f32[1]
        %a = relu(%x)
        return %a
      }}
      return %z
    }"""
    executor = executor_of(text, NamedProvider("doubling", Doubling()))
    assert executor.run([np.array(True), floats(3)])[0] == 12
    assert executor.run([np.array(False), floats(3)])[0] == 6


def test_symbols_follow_the_inputs() -> None:
    executor = executor_of(
        "graph g { input %x: f32[n, 4] %y = reshape(%x) {shape = [2*n, 2]} return %y }"
    )
    for batch in (1, 3, 0):
        assert executor.run([np.zeros((batch, 4), np.float32)])[0].shape == (2 * batch, 2)


@pytest.mark.parametrize(
    "text",
    [
        "graph g { input %x: f32[2] return %x }",
        "graph g { input %x: f32[2] %y = reshape(%x) {shape = [2, 1]} return %y }",
        "graph g { input %x: f32[2] %y = identity(%x) return %y }",
    ],
)
def test_outputs_do_not_share_memory_with_inputs(text: str) -> None:
    x = floats(1, 2)
    [y] = executor_of(text).run([x])
    assert not np.may_share_memory(x, y)


def test_outputs_do_not_share_memory_with_constants() -> None:
    executor = executor_of(
        "graph g { const %c: f32[2] = [1.0, 2.0] %y = reshape(%c) {shape = [2, 1]} return %c, %y }"
    )
    for output in executor.run([]):
        output[...] = 9
    np.testing.assert_array_equal(executor.run([])[0], [1, 2])
    np.testing.assert_array_equal(executor.run([])[1], [[1], [2]])


def test_one_value_may_be_several_outputs() -> None:
    text = 'graph g { input %x: f32[1] %y = relu(%x) return %y as "a", %y as "b", %y }'
    assert [float(y[0]) for y in executor_of(text).run([floats(2)])] == [2, 2, 2]


def test_outputs_do_not_share_memory_with_each_other() -> None:
    text = """graph g {
      input %x: f32[2]
      %y = relu(%x)
      %v = reshape(%y) {shape = [2, 1]}
      return %y, %y as "b", %v
    }"""
    outputs = executor_of(text).run([floats(1, 2)])
    outputs[0][...] = 9
    np.testing.assert_array_equal(outputs[1], [1, 2])
    np.testing.assert_array_equal(outputs[2], [[1], [2]])


def test_outputs_too_large_for_memory_are_an_error() -> None:
    text = """graph g {
      input %x: f32[1]
      %y = expand(%x) {shape = [4611686018427387904]}
      return %y
    }"""
    with pytest.raises(ExecutionError, match=r"memory|failed at %y"):
        executor_of(text).run([floats(1)])


def test_sequences_are_the_callers_too() -> None:
    executor = executor_of("graph g { input %x: seq<f32[1]> return %x }")
    given = [floats(1)]
    [output] = executor.run([given])
    assert output is not given
    assert not np.may_share_memory(output[0], given[0])


ERRORS: list[tuple[list[Any], str]] = [
    ([], "has 1 inputs, but got 0"),
    ([np.zeros(2)], r"%x is f32\[n\], but got an array of float64"),
    ([np.zeros((2, 2), np.float32)], r"%x is f32\[n\], but got an array of shape \[2, 2\]"),
]


@pytest.mark.parametrize(("inputs", "message"), ERRORS)
def test_inputs_are_checked(inputs: list[Any], message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        executor_of(RELU).run(inputs)


def test_a_symbol_has_one_value_in_a_run() -> None:
    executor = executor_of("graph g { input %x: f32[n] input %y: f32[n] return %x }")
    with pytest.raises(ExecutionError, match=r"%y is f32\[n\] with n = 2, but got .* \[3\]"):
        executor.run([floats(1, 2), floats(1, 2, 3)])


def test_an_expression_is_checked_once_its_symbol_is_known() -> None:
    executor = executor_of("graph g { input %x: f32[2*n] input %y: f32[n] return %x }")
    with pytest.raises(ExecutionError, match=r"%x is f32\[2\*n\] with n = 2, but got .* \[3\]"):
        executor.run([floats(1, 2, 3), floats(1, 2)])


class Packing(Doubling):
    """Packs constants anew: the second one in another way for each size."""

    def accepts(self, node: Node) -> Support:
        return Support.yes()

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        (constant,) = super().prepack(node, candidate)
        return [constant.copy(), np.tile(constant, extents(node.result)[0])]


def test_sizes_that_nobody_planned_for_share_weights() -> None:
    graph = graph_of(
        "graph g { input %x: f32[n] const %c: f32[1] = [nan] %y = mul(%x, %c) return %y }"
    )
    executor = HostExecutor(graph, (), [NamedProvider("packing", Packing()), REFERENCE])
    weights = [executor.plan({"n": extent}).weights for extent in (2, 3)]
    same = [any(a is b for b in weights[1]) for a in weights[0]]
    assert [w.size for w, shared in zip(weights[0], same, strict=True) if not shared] == [2]
    assert [w.size for w, shared in zip(weights[0], same, strict=True) if shared] == [1]


def test_a_failing_kernel_is_named_with_its_node() -> None:
    executor = executor_of(RELU, NamedProvider("failing", Failing()))
    with pytest.raises(ExecutionError, match="relu failed at %y: RuntimeError: out of luck"):
        executor.run([floats(1)])


def test_threads_may_share_an_executor() -> None:
    executor = executor_of(
        "graph g { input %x: f32[n] %a = exp(%x) %b = mul(%a, %a) %c = log(%b) return %c }"
    )
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).random(1000 + seed, np.float32)
        for _ in range(20):
            if not np.allclose(executor.run([x])[0], 2 * x, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
