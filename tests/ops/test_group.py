"""Groups run their body, and their types follow from the operands'."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ir.graph import Graph
from gie_core.ops.activation import Relu
from gie_core.ops.arithmetic import Add
from gie_core.ops.group import Group
from gie_core.ops.run import run_graph
from gie_core.testing.ops import check_rejected, draw, tensor_type


def residual() -> Graph:
    """relu(x + y), and x + y."""
    body = Graph("residual")
    x, y = (body.add_input(name, tensor_type("f32[n, 4]")) for name in "xy")
    total = body.add(Add(), x, y).result
    body.set_outputs([("out", body.add(Relu(), total).result), ("sum", total)])
    return body


GROUP = Group(kind="epilogue", body=residual())


def test_runs_the_body() -> None:
    x, y = draw(3, 4), draw(3, 4, seed=1)
    out, total = GROUP.compute(x, y, run=run_graph)
    assert (total == x + y).all()
    assert (out == np.maximum(x + y, 0)).all()


def test_a_kernel_runs_each_node() -> None:
    ran: list[str] = []
    x = draw(3, 4)

    def run(graph: Graph, inputs: object) -> tuple[object, ...]:
        ran.extend(node.op.name for node in graph.nodes)
        return (x, x)

    GROUP.compute(x, x, run=run)  # pyright: ignore[reportArgumentType] - records only
    assert ran == ["add", "relu"]


@pytest.mark.parametrize("extent", ["n", "3", "m", "2*m"])
def test_types_follow_the_operands(extent: str) -> None:
    operand = tensor_type(f"f32[{extent}, 4]")
    assert GROUP.infer(operand, operand) == (operand, operand)


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (("f32[3, 4]",), "the body has 2 inputs, but got 1 operands"),
        (("f32[3, 4]", "f16[3, 4]"), r"the body's input %y is a f32\[n, 4\], not a f16\[3, 4\]"),
        (("f32[3, 4]", "f32[2, 4]"), "the dimension 'n' of the body cannot be both 3 and 2"),
    ],
)
def test_rejects(operands: tuple[str, ...], message: str) -> None:
    check_rejected(GROUP, *operands, match=message)
