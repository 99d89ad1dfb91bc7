"""Fold a constant factor or shift per channel into the weights before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.types import Array
from gie_core.ops.arithmetic import Add, Div, Mul, Sub
from gie_passes_fusion.affine import PRODUCERS, Affine, absorb, channel_axis
from gie_passes_fusion.values import vector_along


@dataclass(frozen=True)
class FoldAffine(PatternPass):
    """conv(x, w, b)·f + s → conv(x, w·f, b·f + s), for conv, conv_transpose, gemm and matmul.

    ``f`` and ``s`` are constants that vary along the result's channels only. Subtraction and
    division fold likewise.
    """

    name = "fold-affine"
    after = ("fold-batch-norm",)
    roots = (Add, Sub, Mul, Div)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        for position, y in enumerate(node.operands):
            if y is None or y.node is None or not isinstance(y.node.op, PRODUCERS):
                continue
            if y.tensor.rank > 1:
                return self._fold(node, y, position, rewriter)
        return None

    def _fold(self, node: Node, y: Value, position: int, rewriter: Rewriter) -> Replacement:
        assert y.node is not None
        other = node.operands[1 - position]
        if y.type != node.result.type:
            return Refusal(f"%{y.name} is broadcast to {node.result.type}")
        if other is None or other.data is None:
            return None
        vector = vector_along(other, channel_axis(y.node), y.tensor.dims)
        if vector is None:
            return Refusal(f"%{other.name} varies along other axes than the channels")
        affine = _affine(node, vector.astype(np.float64), y_is_left=position == 0)
        if affine is None:
            return Refusal(f"%{y.name} is the divisor")
        if not np.all(np.isfinite(np.concatenate([affine.factor, affine.shift]))):
            return Refusal(f"%{other.name} gives factors that are not finite")
        return absorb(y, affine, rewriter)


def _affine(node: Node, c: Array, *, y_is_left: bool) -> Affine | None:
    one, zero = np.ones(1), np.zeros(1)
    match node.op:
        case Mul():
            return Affine(c, zero)
        case Add():
            return Affine(one, c)
        case Sub():
            return Affine(one, -c) if y_is_left else Affine(-one, c)
        case _:
            with np.errstate(divide="ignore", invalid="ignore"):
                return Affine(1 / c, zero) if y_is_left else None
