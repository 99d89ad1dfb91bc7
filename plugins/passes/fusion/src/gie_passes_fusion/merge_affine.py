"""Merge constant factors and shifts that follow each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.types import Array, DType
from gie_core.ops.arithmetic import Add, Mul
from gie_passes_fusion.values import is_read_once


@dataclass(frozen=True)
class MergeAffine(PatternPass):
    """x·a·b → x·(ab);  x + a + b → x + (a + b);  (x·a + b)·c → x·(ac) + (bc).

    a, b and c are floating-point constants, merged in float64. So what batch norms and scales
    leave before a nonlinearity is one multiplication and one addition.
    """

    name = "merge-affine"
    after = ("fold-affine", "fold-batch-norm")
    roots = (Add, Mul)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        outer = _match(node, type(node.op))
        if outer is None:
            return None
        y, c = outer
        inner = _match(y.node, (Add, Mul))
        if inner is None or y.type != node.result.type:
            return None
        if not is_read_once(y):
            return Refusal(f"%{y.name} is read elsewhere too")
        x, b = inner
        if y.node is not None and type(y.node.op) is type(node.op):
            return _merged(node.op, x, b, c, rewriter)
        first = _match(x.node, Mul) if isinstance(node.op, Mul) and is_read_once(x) else None
        if first is None or x.type != y.type:
            return None
        scaled = _merged(Mul(), first[0], first[1], c, rewriter)
        shift = _combined(Mul(), b, c)
        if isinstance(scaled, Refusal) or shift is None:
            return scaled if isinstance(scaled, Refusal) else _too_large(b, c)
        return rewriter.add(Add(), scaled, rewriter.constant(shift, b.name))


def _match(node: Node | None, kinds: type[Op] | tuple[type[Op], ...]) -> tuple[Value, Value] | None:
    """The computed and the constant operand of a sum or product of floats."""
    if node is None or not isinstance(node.op, kinds) or not node.result.tensor.dtype.is_float:
        return None
    a, b = node.operands
    if a is None or b is None or (a.data is None) == (b.data is None):
        return None
    return (a, b) if b.data is not None else (b, a)


def _merged(op: Op, x: Value, b: Value, c: Value, rewriter: Rewriter) -> Value | Refusal:
    constant = _combined(op, b, c)
    if constant is None:
        return _too_large(b, c)
    return rewriter.add(op, x, rewriter.constant(constant, b.name))


def _combined(op: Op, b: Value, c: Value) -> Array | None:
    """b·c or b + c, rounded once; ``None`` where it does not fit or is larger than both."""
    assert b.data is not None
    assert c.data is not None
    wide = b.data.astype(np.float64), c.data.astype(np.float64)
    if np.broadcast(*wide).size > max(b.data.size, c.data.size):
        return None
    with np.errstate(all="ignore"):
        result = np.asarray(np.multiply(*wide) if isinstance(op, Mul) else np.add(*wide))
        rounded = result.astype(DType.of(b.data.dtype).numpy)
    return rounded if np.all(np.isfinite(rounded.astype(np.float64))) else None


def _too_large(b: Value, c: Value) -> Refusal:
    return Refusal(f"%{b.name} and %{c.name} together are too large or too long")
