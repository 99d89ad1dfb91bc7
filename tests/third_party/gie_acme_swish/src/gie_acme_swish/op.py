"""The swish activation."""

from __future__ import annotations

import numpy as np

from gie_core.ir.op import Op
from gie_core.ir.types import Array, TensorType


class Swish(Op, name="acme.swish"):
    """x·sigmoid(beta·x), elementwise (Ramachandran, Zoph & Le 2017, section 2)."""

    beta: float = 1.0

    def infer(self, x: TensorType) -> TensorType:
        """Shape and dtype of x."""
        return x

    def compute(self, x: Array) -> Array:
        """The reference, in float64."""
        exact = x.astype(np.float64)
        return (exact / (1 + np.exp(-self.beta * exact))).astype(x.dtype)


OPS = [Swish]
