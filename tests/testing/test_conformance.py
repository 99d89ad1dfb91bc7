"""The suite for kernel providers: what it holds, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.ops.activation import Relu
from gie_core.runtime.target import Target
from gie_core.testing.cases import CASES, Case, table
from gie_core.testing.conformance import check_case, check_provider, provider_cases

WITHOUT_CASES = {"foreign", "if", "loop"}  # the references don't run them, and nor does a provider


class Relus(ArrayProvider):
    def accepts(self, node: Node) -> Support:
        return Support.yes() if isinstance(node.op, Relu) else Support.no("it is no relu")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.maximum(operands[0], 0, out=out[0])


def test_the_references_conform() -> None:
    supported = check_provider(ReferenceProvider(), cases=provider_cases())
    assert {case.op for case in CASES} - {case.op for case in supported} == {"group"}


def test_every_op_has_a_case() -> None:
    assert {case.op for case in CASES} == core_ops().keys() - WITHOUT_CASES


def test_cases_are_all_different() -> None:
    assert len({case.row for case in CASES}) == len(CASES)


def test_a_small_provider() -> None:
    supported = check_provider(Relus())
    assert supported
    assert {case.op for case in supported} == {"relu"}
    assert not check_case(Relus(), Case("neg(f32[3])"))


class Silent(Relus):
    def accepts(self, node: Node) -> Support:
        return Support.no("")


class Wavering(Relus):
    def __init__(self) -> None:
        self.asked = 0

    def accepts(self, node: Node) -> Support:
        self.asked += 1
        return Support(bool(self.asked % 2), "it is late")


class Shy(Relus):
    def accepts(self, node: Node) -> Support:
        return Support.no("not today")


class Late(Relus):
    def accepts(self, node: Node) -> Support:
        return Support.later()


class Breaking(Relus):
    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        raise KeyError("relu")


class Raising(Relus):
    def supports(self, node: Node, target: Target) -> Support:
        if not node.results[0].tensor.is_static:
            raise KeyError("n")
        return super().supports(node, target)


class Counting(Relus):
    count = 0

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        self.count += 1
        (one,) = super().candidates(node, target)
        return [Candidate(f"number {self.count}", one.operands, one.results)]


class Renaming(Relus):
    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        node.metadata["seen"] = "yes"
        return super().candidates(node, target)


class Finding(Relus):
    """Finds its candidate, under any name."""

    def candidate(self, node: Node, name: str, target: Target) -> Candidate | None:
        (one,) = super().candidates(node, target)
        return one


class Forgetful(Relus):
    def candidate(self, node: Node, name: str, target: Target) -> Candidate | None:
        return None


class Negating(Relus):
    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.negative(operands[0], out=out[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Silent, "it rejects the node without a reason"),
        (Wavering, "gives another answer later"),
        (Shy, "it supports none of the cases"),
        (Late, "it says later, but all shapes are known"),
        (Breaking, "it raises KeyError: 'relu'"),
        (Raising, r"supports\(\) raises KeyError: 'n'"),
        (Counting, "a second call gives others"),
        (Renaming, "it changed the graph"),
        (Finding, r"candidate\(\) gives Candidate\(.* for '', candidates\(\) none"),
        (Forgetful, r"candidate\(\) gives None for 'arrays', candidates\(\) Candidate"),
        (
            Negating,
            r"cases fail\n\nrelu\(f32\[3, 5\]\)\ncandidate 'arrays': %y0 has",
        ),
    ],
)
def test_wrong_provider(make: Callable[[], Relus], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_provider(make(), cases=provider_cases(ops=["relu"]))


def test_cases_of_ones_own() -> None:
    cases = provider_cases(ops=[], more=["relu(f32[9, 9, 9])"])
    assert [str(case) for case in cases] == ["relu(f32[9, 9, 9])"]
    assert check_provider(Relus(), cases=cases) == cases


def test_elements_of_a_case() -> None:
    case = Case("gather(f32[4, 6], i64[2, 9] in -4..3, _)")
    assert case.op == "gather"
    case = Case("scatter_elements(f32[4], const i64[3] = [1, 1, 3], f32[3] in 2..3)")
    graph = case.graph(core_ops())
    assert [v.data.tolist() for v in graph.constants if v.data is not None] == [[1, 1, 3]]
    x, updates = case.inputs(graph, 0)
    assert x.shape == (4,)
    assert ((updates >= 2) & (updates < 3)).all()
    assert (case.inputs(graph, 1)[0] != x).any()
    assert (case.inputs(graph, 0)[0] == x).all()


@pytest.mark.parametrize("row", ["relu", "relu(f32)", "relu(f32[3] from 0..1)"])
def test_no_case(row: str) -> None:
    with pytest.raises(ValueError, match=r"can't be read|is no case"):
        Case(row).graph(core_ops())


def test_table() -> None:
    rows = table("f32 i8", "relu(T[3])\n\n  neg(bool[3])")
    assert [str(row) for row in rows] == ["relu(f32[3])", "relu(i8[3])", "neg(bool[3])"]
