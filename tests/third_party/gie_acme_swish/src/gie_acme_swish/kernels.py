"""A float32 kernel for swish that needs no temporary array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_acme_swish.op import Swish
from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Support
from gie_core.kernels.simple import ArrayProvider


class SwishKernels(ArrayProvider):
    """Runs acme.swish in float32."""

    def accepts(self, node: Node) -> Support:
        """Float32 swish only."""
        if not isinstance(node.op, Swish):
            return Support.no("it has a kernel for acme.swish only")
        if node.result.tensor.dtype is not DType.F32:
            return Support.no("it computes in float32 only")
        return Support.yes()

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        """x / (1 + exp(-beta·x))."""
        (x,), (y,) = operands, out
        np.multiply(x, np.float32(-cast(Swish, node.op).beta), out=y)
        np.exp(y, out=y)
        y += 1
        np.divide(x, y, out=y)
