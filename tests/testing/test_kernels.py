"""The harness for kernel providers finds each kind of wrong kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from gie_core.errors import GieError
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides
from gie_core.kernels.provider import Function, Launch, Memory
from gie_core.kernels.reference import ReferenceProvider
from gie_core.runtime.target import Target
from gie_core.testing.kernels import check_graph, check_node, check_unsupported, relative_error

INPUTS = {"x": "f32[4, 6]"}
ANY = Format(DType.F32, (0, 1), Strides.ANY)
PITCHED = Format(DType.F32, (0, 1), Strides.PITCHED)
DENSE = Format(DType.F32, (0, 1))
FREE = Candidate("free", (ANY,), (PITCHED,), workspace=32)

Kernel = Callable[[Memory], None]


@dataclass
class Provider:
    """Candidates, and one kernel that runs them all."""

    kernel: Kernel
    offered: Sequence[Candidate] = (FREE,)
    support: Support = field(default_factory=Support.yes)

    def supports(self, node: Node, target: Target) -> Support:
        return self.support

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return self.offered

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return []

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        return [lambda: self.kernel(memory)]


def check(kernel: Kernel, *offered: Candidate, **options: Any) -> None:
    check_node(Provider(kernel, offered or (FREE,)), "relu(%x)", INPUTS, **options)


def relu(memory: Memory) -> None:
    np.maximum(memory.operands[0], 0, out=memory.results[0])
    memory.results[0][...] += 0  # no -0


def at_address(array: Array, shift: int = 0) -> Array:
    """The memory of an array, as native code sees it: dense, writable, without end."""
    raw = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data + shift)
    return np.ndarray(array.shape, array.dtype, raw)


def negates(memory: Memory) -> None:
    np.negative(memory.operands[0], out=memory.results[0])


def is_coarse(memory: Memory) -> None:
    relu(memory)
    memory.results[0][...] *= np.float32(1 + 1e-5)


def writes_its_operand(memory: Memory) -> None:
    relu(memory)
    at_address(memory.operands[0])[0, 0] += 1


def forgets_an_element(memory: Memory) -> None:
    corner = memory.results[0][0, 0].copy()
    relu(memory)
    memory.results[0][0, 0] = corner


def takes_operands_for_dense(memory: Memory) -> None:
    np.maximum(at_address(memory.operands[0]), 0, out=memory.results[0])


def takes_results_for_dense(memory: Memory) -> None:
    np.maximum(memory.operands[0], 0, out=at_address(memory.results[0]))


def writes_behind_its_result(memory: Memory) -> None:
    relu(memory)
    at_address(memory.results[0], 4)[-1, -1] = 0


def writes_behind_its_workspace(memory: Memory) -> None:
    relu(memory)
    at_address(memory.workspace, 1)[-1] = 0


def trusts_its_workspace(memory: Memory) -> None:
    relu(memory)
    memory.results[0][...] += memory.workspace[0]


def raises(memory: Memory) -> None:
    raise RuntimeError("it is Monday")


class DrawsLots:
    """Other bits at every call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, memory: Memory) -> None:
        relu(memory)
        self.calls += 1
        memory.results[0][...] *= np.float32(1 + 3e-7 * (self.calls % 2))


class RemembersOperands:
    """Keeps the answer to its first operands, of each memory."""

    def __init__(self) -> None:
        self.known: dict[int, Array] = {}

    def __call__(self, memory: Memory) -> None:
        relu(memory)
        key = memory.results[0].ctypes.data
        memory.results[0][...] = self.known.setdefault(key, memory.results[0].copy())


class ReadsWhenBound(Provider):
    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        x = np.array(memory.operands[0])
        return [lambda: self.kernel(replace(memory, operands=(x,)))]


class SharesMemory(Provider):
    """All that it binds writes into the memory that was bound last."""

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        self.memory = memory
        return [lambda: self.kernel(self.memory)]


class PacksAnew(Provider):
    calls = 0

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        self.calls += 1
        return [np.full(3, self.calls)]


@pytest.mark.parametrize("exact", [False, True])
def test_right_kernel(exact: bool) -> None:
    check(relu, exact=exact)


WRONG: list[tuple[Kernel, str]] = [
    (negates, "has relative error .*dense memory, pitched operands"),
    (is_coarse, "has relative error"),
    (writes_its_operand, "operand 0 was written to"),
    (forgets_an_element, "relative error nan"),
    (takes_operands_for_dense, r"relative error .* \(pitched operands"),
    (takes_results_for_dense, r"memory beside .*\(pitched results, pitched memory\)"),
    (writes_behind_its_result, "memory beside the elements of result 0 was written to"),
    (writes_behind_its_workspace, "memory beyond the workspace was written to"),
    (trusts_its_workspace, "relative error"),
    (raises, "candidate 'free': it raises RuntimeError: it is Monday"),
    (DrawsLots(), "give other bits, but it says deterministic"),
    (RemembersOperands(), "with other operands in the same memory, %result has"),
]


@pytest.mark.parametrize(("kernel", "message"), WRONG)
def test_wrong_kernel(kernel: Kernel, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(kernel)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ReadsWhenBound, "%result"),
        (SharesMemory, "bound first and run after the others"),
        (PacksAnew, "prepack gives other constants at the second call"),
    ],
)
def test_wrong_provider(kind: type[Provider], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_node(kind(relu), "relu(%x)", INPUTS)


def claim(**changes: Any) -> Candidate:
    return replace(FREE, **changes)


CLAIMS: list[tuple[tuple[Candidate, ...], str]] = [
    ((), "it supports the node but has no candidate"),
    ((FREE, FREE), "two candidates are named 'free'"),
    ((claim(operands=()),), "it has 0 operands, the node 1"),
    ((claim(results=(DENSE, DENSE)),), "it has 2 results, the node 1"),
    ((claim(operands=(None,)),), "operand 0 is no constant, but has no format"),
    ((claim(results=(ANY,)),), "result 0 may have any strides"),
    ((claim(results=(Format(DType.F32, (0, 0)),)),), r"result 0 has order \(0, 0\), but rank 2"),
    ((claim(results=(Format(DType.F64, (0, 1)),)),), "is f32 and can't be stored as f64"),
    ((claim(results=(Format(DType.I8, (0, 1)),)),), "is f32 and can't be stored as i8"),
    ((claim(results=(Format(DType.F32, (0, 1), alignment=24),)),), "is no power of two"),
    ((claim(packed=DType.I8),), "constants can't be rounded to i8"),
    ((claim(workspace=-1),), "its workspace is -1 bytes"),
    ((claim(work=Work(steps=float("inf"))),), "its work makes no sense"),
    ((claim(in_place=((0, 1),)),), "result 0 in place of operand 1: there is no such pair"),
    ((claim(in_place=((0, 0),), results=(Format(DType.F32, (1, 0)),)),), "which lies otherwise"),
]


@pytest.mark.parametrize(("offered", "message"), CLAIMS)
def test_wrong_claims(offered: tuple[Candidate, ...], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_node(Provider(relu, offered), "relu(%x)", INPUTS)


def test_in_place() -> None:
    def clears_first(memory: Memory) -> None:
        x = memory.operands[0]
        memory.results[0][...] = 0
        np.maximum(x, memory.results[0], out=memory.results[0])

    check(clears_first)
    check(relu, claim(in_place=((0, 0),)))
    with pytest.raises(AssertionError, match="result 0 in place of operand 0, pitched"):
        check(clears_first, claim(in_place=((0, 0),)))


def test_every_candidate_is_run_and_named() -> None:
    def narrow(memory: Memory) -> None:
        assert memory.operands[0].flags.c_contiguous
        relu(memory)

    dense = Candidate("dense", (DENSE,), (DENSE,))
    check(narrow, dense)
    check(narrow, FREE, dense, only="ense")
    with pytest.raises(AssertionError, match="candidate 'free': ") as caught:
        check(narrow, dense, FREE)
    assert "candidate 'dense'" not in str(caught.value)
    assert "%result: f32[4, 6] = relu(%x)" in str(caught.value)
    with pytest.raises(AssertionError, match="contains 'fast'; there are 'dense', 'free'"):
        check(narrow, dense, FREE, only="fast")


def test_alignment_is_as_claimed_and_no_better() -> None:
    def looks(memory: Memory) -> None:
        assert memory.operands[0].ctypes.data % 32 == 16
        assert memory.results[0].ctypes.data % 8 == 4
        assert memory.workspace.ctypes.data % 64 == 0
        assert memory.operands[0].strides[0] % 16 == 0
        relu(memory)

    check(looks, claim(operands=(Format(DType.F32, (0, 1), Strides.PITCHED, 16),)))


def test_narrow_storage() -> None:
    half = Format(DType.F16, (0, 1))
    check(relu, Candidate("half", (half,), (half,)), exact=True)
    check(relu, Candidate("half", (DENSE,), (half,)))
    check(is_coarse, Candidate("half", (half,), (DENSE,)))
    check(is_coarse, Candidate("half", (DENSE,), (DENSE,), packed=DType.F16))
    with pytest.raises(AssertionError, match=r"more than 0\.002"):
        check(negates, Candidate("half", (half,), (half,)))


def test_one_value_read_twice_lies_in_one_place() -> None:
    def looks(memory: Memory) -> None:
        a, b = memory.operands
        assert a.ctypes.data == b.ctypes.data
        np.add(a, b, out=memory.results[0])

    twice = Candidate("twice", (DENSE, DENSE), (DENSE,), in_place=((0, 0),))
    check_node(Provider(looks, [twice]), "add(%x, %x)", INPUTS)


def test_exact_sees_the_last_bit() -> None:
    def nearly(memory: Memory) -> None:
        relu(memory)
        np.nextafter(memory.results[0], np.float32(9), out=memory.results[0])

    check(nearly)
    with pytest.raises(AssertionError, match="differs in 24 of 24 elements"):
        check(nearly, exact=True)


def test_unsupported_node() -> None:
    provider = Provider(relu, support=Support.no("it is Monday"))
    with pytest.raises(AssertionError, match="is not supported: it is Monday"):
        check_node(provider, "relu(%x)", INPUTS)
    check_unsupported(provider, "relu(%x)", INPUTS, match="Monday")
    with pytest.raises(AssertionError, match="the reason is"):
        check_unsupported(provider, "relu(%x)", INPUTS, match="Tuesday")
    with pytest.raises(AssertionError, match="is supported"):
        check_unsupported(Provider(relu), "relu(%x)", INPUTS, match="")


NONZERO = "graph g { input %x: f32[n, 3] %y: i64[2, m] = nonzero(%x) return %y }"


class Functions(ReferenceProvider):
    def __init__(self, run: Callable[[Array], Array]) -> None:
        self.run = run

    def function(self, node: Node, target: Target) -> Function:
        def function(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
            return (self.run(operands[0]),)

        return function


def found(x: Array) -> Array:
    return np.stack(np.nonzero(x))


WRONG_FUNCTIONS: list[tuple[Callable[[Array], Array], str]] = [
    (lambda x: found(x.ravel("K").reshape(x.shape) > 0), "differs|has shape"),
    (lambda x: found(x).astype(np.int32), "is int32, not int64"),
    (lambda x: found(x)[:, :-1], "has shape"),
]


@pytest.mark.parametrize(("run", "message"), WRONG_FUNCTIONS)
def test_a_node_that_is_not_static(run: Callable[[Array], Array], message: str) -> None:
    check_graph(ReferenceProvider(), NONZERO)
    with pytest.raises(AssertionError, match=message):
        check_graph(Functions(run), NONZERO)
    with pytest.raises(AssertionError, match="the provider has no function"):
        check_graph(Provider(relu), NONZERO)


def test_sizes_of_symbols() -> None:
    text = {"x": "f32[n, 6]"}

    def looks(rows: int) -> Kernel:
        def run(memory: Memory) -> None:
            assert memory.operands[0].shape == (rows, 6)
            relu(memory)

        return run

    check_node(Provider(looks(3)), "relu(%x)", text)
    check_node(Provider(looks(5)), "relu(%x)", text, sizes={"n": 5})


def test_operands_are_read_only() -> None:
    def writes(memory: Memory) -> None:
        memory.operands[0][...] = 0

    with pytest.raises((AssertionError, GieError), match="read-only"):
        check(writes)


def test_relative_error() -> None:
    assert relative_error(np.array([3.0, 4.0]), np.array([3.0, 5.0])) == 1 / np.sqrt(34)
    assert relative_error(np.array([1.0, 9.0]), np.array([1.0, np.inf])) == 0
    assert relative_error(np.array([0.5]), np.array([0.0])) == 0.5
    assert relative_error(np.array([3 + 4j]), np.array([3 + 3j])) == 1 / np.sqrt(18)
