"""Fold batch normalization into the weights before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.arithmetic import Add, Mul
from gie_core.ops.norm import BatchNorm
from gie_passes_fusion.affine import Affine, absorb, channel_axis
from gie_passes_fusion.values import data_of, shape_of


@dataclass(frozen=True)
class FoldBatchNorm(PatternPass):
    """batch_norm(conv(x, w, b)) → conv(x, w·f, b·f + s), and where that can't be, y·f + s.

    With f = scale / √(variance + epsilon) and s = bias − mean·f for each channel, in float64.
    """

    name = "fold-batch-norm"
    after = ("dead-code", "fold-constants", "remove-identity")
    roots = (BatchNorm,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        assert isinstance(node.op, BatchNorm)
        y, *statistics = node.operands
        arrays = [data_of(value) for value in statistics]
        if any(array is None for array in arrays):
            return Refusal("its statistics are not constant")
        if y is None or shape_of(y) is None:
            return Refusal("the rank of what it normalizes is unknown")
        scale, bias, mean, variance = (a.astype(np.float64) for a in arrays if a is not None)
        with np.errstate(all="ignore"):
            factor = scale / np.sqrt(variance + node.op.epsilon)
            affine = Affine(factor, bias - mean * factor)
        if not np.all(np.isfinite([affine.factor, affine.shift])):
            return Refusal("its statistics give factors that are not finite")
        if y.node is not None and y.tensor.rank > 1 and channel_axis_is_1(y.node):
            folded = absorb(y, affine, rewriter)
            if not isinstance(folded, Refusal):
                return folded
        return self._standing_alone(node, affine, rewriter)

    def _standing_alone(self, node: Node, affine: Affine, rewriter: Rewriter) -> Replacement:
        y = node.operands[0]
        assert y is not None
        shape = (-1, *[1] * (y.tensor.rank - 2))
        factor, shift = (
            rewriter.constant(v.astype(y.tensor.dtype.numpy).reshape(shape), name)
            for v, name in ((affine.factor, "factor"), (affine.shift, "shift"))
        )
        return rewriter.add(Add(), rewriter.add(Mul(), y, factor), shift)


def channel_axis_is_1(producer: Node) -> bool:
    """Whether batch norm's axis is the one whose channels the weights tell apart."""
    return len(producer.results) == 1 and channel_axis(producer) == 1
