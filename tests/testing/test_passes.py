"""The harness for passes fails where it should."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.activation import Relu
from gie_core.ops.arithmetic import Abs, Neg
from gie_core.testing.passes import check_pass, check_pass_pair


@dataclass(frozen=True)
class NegToAbs(PatternPass):
    name = "neg-to-abs"
    roots = (Neg, Relu)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        if isinstance(node.op, Relu):
            return Refusal("a relu is no neg")
        return rewriter.add(Abs(), node.operands[0])


def graph(op: str) -> str:
    return f"graph main {{\n  input %x: f32[9]\n  %y = {op}(%x)\n  return %y\n}}\n"


def pair(before: str, second: str) -> str:
    end = second if second.startswith("#") else f"# after\n{graph(second)}"
    return f"# before\n{graph(before)}{end}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (pair("neg", "abs"), "Not equal|Mismatched"),
        (pair("neg", "exp"), "the graph is another"),
        (pair("neg", "# unchanged:"), "the graph is another"),
        (pair("relu", "# unchanged:"), "the pass looked and refused"),
        (pair("relu", "# unchanged: it is late"), "no refusal says 'it is late'"),
        ("# after\n", "a pair is"),
    ],
)
def test_a_wrong_pair_fails(text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_pass_pair(text, NegToAbs())


@pytest.mark.parametrize("text", [pair("relu", "# unchanged: no neg"), pair("exp", "# unchanged:")])
def test_a_right_pair_passes(text: str) -> None:
    check_pass_pair(text, NegToAbs())


@dataclass(frozen=True)
class SoftenRelu(PatternPass):
    """Right only where x is not negative."""

    name = "soften-relu"
    roots = (Relu,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return rewriter.add(Abs(), node.operands[0])


@dataclass(frozen=True)
class NegTwice(PatternPass):
    name = "neg-twice"
    roots = (Neg,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        x = node.operands[0]
        inner = x.node if x else None
        return inner.operands[0] if inner and isinstance(inner.op, Neg) else None


def test_random_graphs() -> None:
    check_pass(NegTwice(), examples=50)
    with pytest.raises(AssertionError):
        check_pass(SoftenRelu())
