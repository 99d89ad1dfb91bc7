"""Random elementwise nodes and branches of them."""

from __future__ import annotations

import numpy as np

from gie_core.ir.graph import Graph
from gie_core.ir.op import Op
from gie_core.ir.types import DType, TensorType
from gie_core.ops.activation import LeakyRelu, Relu, Sigmoid, Tanh
from gie_core.ops.arithmetic import Abs, Add, Cast, Clip, Div, Max, Min, Mul, Neg, Sub, Where
from gie_core.ops.control import If
from gie_core.ops.identity import Dropout, Identity
from gie_core.testing.steps.choices import (
    Choices,
    broadcastable,
    fits,
    ints,
    is_float,
    is_static,
    pick_value,
    weights,
)

__all__ = [
    "binary",
    "branch",
    "cast",
    "clip",
    "divided",
    "folded_constant",
    "product",
    "unary",
    "where",
    "with_constant",
]


def unary(graph: Graph, choose: Choices) -> None:
    """A function of one operand."""
    x = pick_value(graph, choose)
    floats: list[Op] = [Relu(), Neg(), Abs(), Tanh(), Sigmoid(), LeakyRelu(alpha=0.1)]
    numbers: list[Op] = [Neg(), Abs()]
    always: list[Op] = [Identity(), Dropout()]
    fitting = floats if is_float(x) else numbers if x.tensor.dtype.is_signed else []
    graph.add(choose.pick([*fitting, *always]), x)


def binary(graph: Graph, choose: Choices) -> None:
    """A function of two values."""
    a = pick_value(graph, choose, lambda v: v.tensor.dtype.is_number)
    b = pick_value(graph, choose, lambda v: fits(v, a))
    op: Op = choose.pick([Add(), Sub(), Max(), Min()])
    graph.add(op, a, b)


def product(graph: Graph, choose: Choices) -> None:
    """A product with something bounded."""
    a = pick_value(graph, choose, is_float)
    b = pick_value(graph, choose, lambda v: v.type == a.type)
    graph.add(Mul(), a, graph.add(Tanh(), b).result)


def with_constant(graph: Graph, choose: Choices) -> None:
    """Arithmetic with a constant that broadcasts."""
    a = pick_value(graph, choose, lambda v: v.tensor.dtype.is_number)
    op: Op = choose.pick([Add(), Mul(), Sub(), Max()])
    operands = [a, broadcastable(graph, choose, a)]
    graph.add(op, *(operands if choose.integer(0, 2) else operands[::-1]))


def divided(graph: Graph, choose: Choices) -> None:
    """A division by a whole number."""
    a = pick_value(graph, choose, is_float)
    graph.add(
        Div(), a, graph.add_constant(np.asarray(choose.pick([1, 2, 3]), a.tensor.dtype.numpy))
    )


def clip(graph: Graph, choose: Choices) -> None:
    """A clip with constant bounds or without."""
    x = pick_value(graph, choose, is_float)
    low, high = (graph.add_constant(np.asarray(v, x.tensor.dtype.numpy)) for v in (-1, 2))
    graph.add(Clip(), x, choose.pick([low, None]), choose.pick([high, None]))


def where(graph: Graph, choose: Choices) -> None:
    """A choice by element."""
    a = pick_value(graph, choose)
    b = pick_value(graph, choose, lambda v: fits(v, a))
    condition = pick_value(graph, choose, lambda v: v.type == TensorType(DType.BOOL, ()))
    graph.add(Where(), condition, a, b)


def cast(graph: Graph, choose: Choices) -> None:
    """A cast that loses little."""
    x = pick_value(graph, choose, lambda v: v.tensor.dtype.is_number)
    integers = [DType.I32, DType.I64, DType.I8, DType.U8, DType.F64]
    to = choose.pick([DType.F64, DType.F32] if is_float(x) else integers)
    graph.add(Cast(to=to), x)


def folded_constant(graph: Graph, choose: Choices) -> None:
    """Something computed from a constant."""
    x = pick_value(graph, choose, lambda v: is_float(v) and is_static(v))
    data = weights(graph, choose, x.tensor.dtype, ints(x.tensor.dims))
    graph.add(Add(), x, graph.add(choose.pick([Neg(), Relu()]), data).result)


def branch(graph: Graph, choose: Choices) -> None:
    """An if whose branches compute on a capture."""
    x = pick_value(graph, choose, is_float)
    conditions = [graph.add_constant(np.asarray(True)), graph.add_constant(np.asarray(False))]
    given = [v for v in graph.inputs if v.type == conditions[0].type]
    branches: list[Graph] = []
    for count in (1, 3):
        branch = Graph("branch")
        branch.add_input("x", x.type)
        for _ in range(count):
            choose.pick([unary, with_constant, divided])(branch, choose)
        same = [v for v in branch.values() if v.type == x.type]
        branch.set_outputs([same[-1]])
        branches.append(branch)
    op = If(then_branch=branches[0], else_branch=branches[1])
    graph.add(op, choose.pick([*given, *conditions]), x)
