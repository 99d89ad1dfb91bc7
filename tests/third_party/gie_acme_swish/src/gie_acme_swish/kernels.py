"""A float32 kernel for swish that needs one temporary array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from gie_acme_swish.op import Swish
from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_core.runtime.target import Target


class SwishKernels:
    """Runs acme.swish in float32."""

    def supports(self, node: Node, target: Target) -> Support:
        """Float32 swish only."""
        if not isinstance(node.op, Swish):
            return Support.no("it has a kernel for acme.swish only")
        kind = node.results[0].type
        if not (isinstance(kind, TensorType) and kind.dtype is DType.F32):
            return Support.no("it computes in float32 only")
        return Support.yes()

    def kernel(self, node: Node, target: Target) -> Kernel:
        """The one kernel there is."""
        return swish


def swish(op: Op, operands: Sequence[Array]) -> tuple[Array]:
    """x / (1 + exp(-beta·x))."""
    (x,) = operands
    y = np.exp(x * np.float32(-cast(Swish, op).beta))
    y += 1
    return (np.divide(x, y, out=y),)
