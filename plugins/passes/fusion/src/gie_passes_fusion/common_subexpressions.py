"""Compute the same thing once."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from gie_core.builder.passes import Pass
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Trait
from gie_core.ir.rewrite import Rewriter
from gie_core.ir.types import Array
from gie_passes_fusion.values import is_pure


@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Of equal nodes (op, attributes, operands) and of equal constants, the first serves all.

    Operands of a commutative op count in any order. What may differ between two runs stays.
    """

    name = "common-subexpressions"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        self._merge_constants(graph, rewriter)
        known: dict[Hashable, Node] = {}
        for node in graph.nodes:
            if not is_pure(node.op):
                continue
            first = known.setdefault(_key(node), node)
            if first is not node and _same_types(first.results, node.results):
                self._merge(graph, rewriter, first, node)

    def _merge(self, graph: Graph, rewriter: Rewriter, first: Node, second: Node) -> None:
        replaced = [f"%{result.name}" for result in second.results]
        sources = second.sources
        for old, new in zip(second.results, first.results, strict=True):
            graph.replace_uses(old, new)
        graph.remove(second)
        first.sources = tuple(dict.fromkeys([*first.sources, *sources]))
        kept = [f"%{result.name}" for result in first.results]
        rewriter.record(f"{', '.join(replaced)} = {second.op.name}", sources, kept)

    def _merge_constants(self, graph: Graph, rewriter: Rewriter) -> None:
        known: dict[Hashable, list[Value]] = {}
        for constant in graph.constants:
            assert constant.data is not None
            alike = known.setdefault(_fingerprint(constant.data), [])
            first = next((c for c in alike if _equal(c, constant)), None)
            if first is None:
                alike.append(constant)
                continue
            graph.replace_uses(constant, first)
            graph.remove_constant(constant)
            rewriter.record(f"const %{constant.name}", (), (f"%{first.name}",))


def _key(node: Node) -> Hashable:
    operands = [id(operand) for operand in node.operands]
    if Trait.COMMUTATIVE in node.op.traits:
        operands.sort()
    # Attributes of 0.0 and -0.0 are equal, but need not mean the same.
    floats = (value for value in node.op.attribute_values().values() if isinstance(value, float))
    return (node.op, tuple(math.copysign(1, value) for value in floats), tuple(operands))


def _same_types(first: tuple[Value, ...], second: tuple[Value, ...]) -> bool:
    """Declared types count: they may tell more than the op's rule."""
    return len(first) == len(second) and all(
        a.type == b.type and a.quantization == b.quantization
        for a, b in zip(first, second, strict=True)
    )


def _fingerprint(data: Array) -> Hashable:
    """Equal for equal arrays, and cheap: large constants are only compared where it agrees."""
    sample = data.reshape(-1)[:: max(1, data.size // 16)]
    return (str(data.dtype), data.shape, _content(sample))


def _equal(a: Value, b: Value) -> bool:
    assert a.data is not None
    assert b.data is not None
    if a.data is b.data:
        return a.quantization == b.quantization
    return a.quantization == b.quantization and _content(a.data) == _content(b.data)


def _content(data: Array) -> Hashable:
    if data.dtype == object:
        return tuple(data.ravel())
    return np.ascontiguousarray(data).tobytes()
