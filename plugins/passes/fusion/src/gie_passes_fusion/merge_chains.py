"""Two reshapes or two casts in a row become one."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.conversion import integer_range
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.types import DType
from gie_core.ops.arithmetic import Cast
from gie_core.ops.shape import Reshape
from gie_passes_fusion.values import shape_of


@dataclass(frozen=True)
class MergeChains(PatternPass):
    """reshape(reshape(x, s), t) → reshape(x, t);  cast(cast(x, a), b) → cast(x, b).

    The latter only if a represents every value of x's type.
    """

    name = "merge-chains"
    roots = (Reshape, Cast)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        inner = node.operands[0].node if node.operands[0] is not None else None
        if inner is None or type(inner.op) is not type(node.op):
            return None
        x = inner.operands[0]
        assert x is not None
        if isinstance(node.op, Reshape):
            return None if shape_of(x) is None else rewriter.add(node.op, x)
        return self._merge_casts(inner, x, node, rewriter)

    def _merge_casts(self, inner: Node, x: Value, node: Node, rewriter: Rewriter) -> Replacement:
        source, middle, target = (v.tensor.dtype for v in (x, inner.result, node.result))
        if not _is_lossless(source, middle):
            return Refusal(f"{middle} does not hold every {source}")
        if target is source:
            return x
        if middle.is_float != source.is_float:
            return Refusal(f"a cast from {source} rounds and overflows unlike one from {middle}")
        return rewriter.add(node.op, x)


def _is_lossless(source: DType, target: DType) -> bool:
    """Every value of ``source`` is one of ``target``."""
    if source is target:
        return True
    if source.is_integer and target.is_integer:
        (low, high), (least, most) = integer_range(source), integer_range(target)
        return least <= low and high <= most
    if target is DType.F64:
        return source.is_float or (source.is_integer and source.bits <= 32)
    if target is DType.F32:
        return (source.is_float and source.bits < 32) or (source.is_integer and source.bits <= 16)
    return False
