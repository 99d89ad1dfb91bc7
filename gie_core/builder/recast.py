"""Copies of graphs in other terms: a node by itself, without names, in double precision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gie_core.ir.attribute import FrozenArray
from gie_core.ir.expr_text import format_program, parse_program
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.text import INLINE_ELEMENTS
from gie_core.ir.types import Array, DType, TensorType, Type

__all__ = ["all_ops", "anonymous", "in_double", "one_node"]


def one_node(node: Node) -> Graph:
    """A graph with a copy of this node alone: its operands are inputs, or constants as they are.

    An operand that is read twice is one input. Sources and metadata stay behind.
    """
    graph = Graph("node")
    copies: dict[Value, Value] = {}
    for value in node.operands:
        if value is not None and value not in copies:
            copies[value] = (
                graph.add_input(value.name, value.type)
                if value.data is None
                else graph.add_constant(value.data, value.name)
            )
    operands = (None if v is None else copies[v] for v in node.operands)
    names = [value.name for value in node.results]
    made = graph.add(node.op, *operands, names=names, types=[v.type for v in node.results])
    graph.set_outputs(made.results)
    return graph


def anonymous(graph: Graph) -> Graph:
    """A copy without names and numbers: values are counted in the order in which they are read.

    Constants become zeros, but for short ones that aren't floats: axes, pads and starts say
    what to do, as an attribute does.
    """
    return _copy(graph, lambda type_: type_, _without_numbers, _anonymous_op)


def in_double(graph: Graph) -> Graph:
    """A copy with f64 for every other float, in types, constants and attributes.

    It can't run if an op is about the type itself, as a bitcast is.

    Raises:
        GieError: an op does not take the wider type.
    """
    return _copy(graph, _wide_type, _wide_data, _wide_op)


def all_ops(graph: Graph) -> Iterator[Op]:
    """The ops of a graph and of the graphs inside it."""
    for node in graph.nodes:
        yield node.op
        for body in node.op.subgraphs().values():
            yield from all_ops(body)


def _copy(
    graph: Graph,
    map_type: Callable[[Type], Type],
    map_data: Callable[[Array], Array],
    map_op: Callable[[Op], Op],
) -> Graph:
    copy = Graph("g")
    copies: dict[Value, Value] = {}
    for value in graph.inputs:
        copies[value] = copy.add_input(f"v{len(copies)}", map_type(value.type))
    # In the order in which nodes read them, not in that in which somebody added them.
    read = dict.fromkeys(v for node in graph.nodes for v in node.operands if v is not None)
    for value in dict.fromkeys([*read, *graph.outputs]):
        if value.data is not None:
            copies[value] = copy.add_constant(map_data(value.data), f"v{len(copies)}")
    for node in graph.nodes:
        made = copy.add(
            map_op(node.op),
            *(None if v is None else copies[v] for v in node.operands),
            names=[f"v{len(copies) + index}" for index in range(len(node.results))],
            types=[map_type(v.type) for v in node.results],
        )
        copies.update(zip(node.results, made.results, strict=True))
    copy.set_outputs((f"y{index}", copies[v]) for index, v in enumerate(graph.outputs))
    return copy


def _anonymous_op(op: Op) -> Op:
    bodies = op.subgraphs()
    return op.replace(**{n: anonymous(b) for n, b in bodies.items()}) if bodies else op


def _without_numbers(data: Array) -> Array:
    dtype = DType.of(data.dtype)
    if data.size <= INLINE_ELEMENTS and not (dtype.is_float or dtype.is_complex):
        return data
    nothing = np.array("", object) if dtype is DType.STR else np.zeros((), data.dtype)
    return np.broadcast_to(nothing, data.shape)


def _wide_type(type_: Type) -> Type:
    if not isinstance(type_, TensorType):
        return type_
    return TensorType(_wide(type_.dtype), type_.shape)


def _wide_data(data: Array) -> Array:
    return data.astype(_wide(DType.of(data.dtype)).numpy, copy=False)


def _wide_op(op: Op) -> Op:
    changes: dict[str, Any] = {}
    for name, value in op.attribute_values().items():
        match value:
            case DType():
                changes[name] = _wide(value)
            case FrozenArray():
                changes[name] = _wide_data(value.data)
            case Graph():
                changes[name] = in_double(value)
            case _ if op.attribute_kinds()[name].name == "program" and value is not None:
                text = re.sub(r"\b(f16|bf16|f32)\b", "f64", format_program(value))
                changes[name] = parse_program(text)
            case _:
                pass
    return op.replace(**changes) if changes else op


def _wide(dtype: DType) -> DType:
    return DType.F64 if dtype in (DType.F16, DType.BF16, DType.F32) else dtype
