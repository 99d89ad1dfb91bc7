"""Remove nodes that return their operand unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import copysign

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Replacement, Rewriter
from gie_core.ops.arithmetic import Add, Cast, Div, Mul, Sub
from gie_core.ops.identity import Dropout, Identity
from gie_core.ops.shape import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from gie_passes_fusion.values import scalar_of, shape_of


@dataclass(frozen=True)
class RemoveIdentity(PatternPass):
    """f(x) → x for every x, bit by bit, −0.0 and NaN included.

    So ``x + 0.0`` stays (it turns −0.0 into 0.0), while ``x − 0.0`` and ``x + (−0.0)`` go.
    """

    name = "remove-identity"

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        rule = RULES.get(type(node.op))
        return None if rule is None else rule(node)


Rule = Callable[[Node], Value | None]


def _first(node: Node) -> Value | None:
    return node.operands[0]


def _if_type_stays(node: Node) -> Value | None:
    x = node.operands[0]
    same = x is not None and shape_of(x) is not None and x.type == node.results[0].type
    return x if same else None


def _if_only_operand(node: Node) -> Value | None:
    return _if_type_stays(node) if len(node.operands) == len(node.results) == 1 else None


def _if_axes_stay(node: Node) -> Value | None:
    assert isinstance(node.op, Transpose)
    permutation = node.op.permutation
    return node.operands[0] if permutation == tuple(range(len(permutation))) else None


def _if_nothing_is_padded(node: Node) -> Value | None:
    assert isinstance(node.op, Pad)
    return node.operands[0] if all(pad == 0 for pad in node.op.pads) else None


def _if_all_is_kept(node: Node) -> Value | None:
    op, shape = node.op, shape_of(node.operands[0])
    assert isinstance(op, Slice)
    if shape is None:
        return None
    cuts = zip(op.axes, op.starts, op.ends, op.steps, strict=True)
    whole = all((start, end, step) == (0, shape[axis], 1) for axis, start, end, step in cuts)
    return node.operands[0] if whole else None


def _neutral(number: float, *, left: bool) -> Rule:
    """x ∘ number, and, with ``left``, number ∘ x."""

    def rule(node: Node) -> Value | None:
        pairs = [node.operands] + [node.operands[::-1]] * left
        for x, other in pairs:
            value = scalar_of(other)
            if x is None or value is None or value != number or x.type != node.result.type:
                continue
            # Integers have one zero; of floats only the right one is neutral.
            if isinstance(value, int) or copysign(1, value) == copysign(1, number):
                return x
        return None

    return rule


RULES: dict[type[Op], Rule] = {
    Identity: _first,
    Dropout: _first,
    Reshape: _if_type_stays,
    Expand: _if_type_stays,
    Cast: _if_type_stays,
    Concat: _if_only_operand,
    Split: _if_only_operand,
    Tile: _if_type_stays,
    Transpose: _if_axes_stay,
    Pad: _if_nothing_is_padded,
    Slice: _if_all_is_kept,
    Add: _neutral(-0.0, left=True),
    Sub: _neutral(0.0, left=False),
    Mul: _neutral(1.0, left=True),
    Div: _neutral(1.0, left=False),
}
