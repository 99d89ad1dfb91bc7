"""Compute what depends on constants only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gie_core.builder.passes import PatternPass
from gie_core.errors import GieError
from gie_core.ir.graph import Node
from gie_core.ir.quantization import Quantization
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.types import DType
from gie_core.ops.quantize import Dequantize
from gie_core.ops.run import compute_node
from gie_core.ops.shape import Range, ShapeOf
from gie_passes_fusion.values import data_of, is_pure, nbytes, scalar_of, shape_of


@dataclass(frozen=True)
class FoldConstants(PatternPass):
    """f(constants) → constant, by the reference of f; shape_of(x) → constant for a static x.

    Args:
        limit: bytes that a folded result may take where it is larger than what it replaces.
    """

    name = "fold-constants"
    limit: int = 1 << 20

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        if isinstance(node.op, ShapeOf):
            shape = shape_of(node.operands[0])
            if shape is not None and all(isinstance(extent, int) for extent in shape):
                return rewriter.constant(np.array(shape, np.int64))
        present = [operand for operand in node.operands if operand is not None]
        arrays = [data_of(operand) for operand in present]
        if not present or any(array is None for array in arrays):
            return None
        reason = self._obstacle(node, sum(a.nbytes for a in arrays if a is not None))
        if reason:
            return Refusal(reason)
        try:
            results = compute_node(node, node.op, [data_of(v) for v in node.operands])
        except GieError as error:
            return Refusal(f"its reference fails: {error}")
        constants = [rewriter.constant(result) for result in results]
        if isinstance(node.op, Dequantize):
            constants[0].quantization = _quantization(node)
        return constants

    def _obstacle(self, node: Node, available: int) -> str:
        op = node.op
        if not is_pure(op):
            return f"two runs of {op.name} may differ"
        if not op.has_reference():
            return f"{op.name} has no reference"
        if op.symbols():
            return "its attributes are symbolic"
        if op.subgraphs():
            return "how long the graphs inside it run, and what they take, is not bounded"
        size = _result_bytes(node)
        if size is None:
            return "the size of its result is not known beforehand"
        if size > max(self.limit, available):
            return f"its result takes {size} bytes, the operands only {available}"
        return ""


def _quantization(node: Node) -> Quantization | None:
    """How a dequantized constant was stored, so that integer kernels can store it so again."""
    stored, *parameters = [v.data for v in node.operands if v is not None and v.data is not None]
    assert isinstance(node.op, Dequantize)
    scale = [float(number) for number in parameters[0].ravel()]
    if node.op.block or not all(number > 0 for number in scale):
        return None
    zero_point = (
        [int(number) for number in parameters[1].ravel()] if parameters[1:] else [0] * len(scale)
    )
    return Quantization(
        DType.of(stored.dtype),
        tuple(scale),
        tuple(zero_point),
        axis=node.op.axis if len(scale) > 1 else None,
        binding=True,
    )


def _result_bytes(node: Node) -> int | None:
    if isinstance(node.op, Range):
        start, limit, delta = (scalar_of(operand) for operand in node.operands)
        if start is None or limit is None or not delta:
            return None
        count = (limit - start) / delta
        if not math.isfinite(count):
            return None
        return max(0, math.ceil(count)) * node.result.tensor.dtype.numpy.itemsize
    sizes = [nbytes(result.type) for result in node.results]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
