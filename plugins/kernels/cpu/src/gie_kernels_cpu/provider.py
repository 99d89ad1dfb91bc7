"""The provider: which method computes which op."""

from __future__ import annotations

from collections.abc import Mapping

from gie_core.builder.kernels import Kernel, KernelError, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ops.conv import Conv, ConvTranspose
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.group import Group
from gie_core.ops.linear import Gemm, Matmul
from gie_core.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Lrn, Softmax
from gie_core.ops.pointwise import Pointwise
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.reduce import ReduceMean, ReduceSum
from gie_core.runtime.target import Target
from gie_kernels_cpu.convolution import Im2colConvolution, PointwiseConvolution
from gie_kernels_cpu.depthwise import DepthwiseConvolution
from gie_kernels_cpu.gemm import GemmProduct, MatmulProduct
from gie_kernels_cpu.groups import FusedGroup
from gie_kernels_cpu.kernel import Method, constant_of
from gie_kernels_cpu.normalization import (
    BatchNormalization,
    ChannelNormalization,
    LayerNormalization,
    LocalResponse,
    RowSoftmax,
)
from gie_kernels_cpu.pointwise import ElementwiseProgram, PointwiseProgram
from gie_kernels_cpu.pooling import AveragePooling, MaxPooling
from gie_kernels_cpu.reduction import TrailingSum
from gie_kernels_cpu.transposed import TransposedConvolution

__all__ = ["METHODS", "CpuProvider"]

METHODS: dict[type[Op], tuple[Method, ...]] = {
    Conv: (PointwiseConvolution(), DepthwiseConvolution(), Im2colConvolution()),
    ConvTranspose: (TransposedConvolution(),),
    MaxPool: (MaxPooling(),),
    AveragePool: (AveragePooling(),),
    Matmul: (MatmulProduct(),),
    Gemm: (GemmProduct(),),
    BatchNorm: (BatchNormalization(),),
    InstanceNorm: (ChannelNormalization(),),
    GroupNorm: (ChannelNormalization(),),
    LayerNorm: (LayerNormalization(),),
    Lrn: (LocalResponse(),),
    Softmax: (RowSoftmax(),),
    ReduceSum: (TrailingSum(),),
    ReduceMean: (TrailingSum(),),
    Pointwise: (PointwiseProgram(),),
}
"""Ways to compute an op; the first that supports a node is taken."""


class CpuProvider:
    """Kernels over NumPy and BLAS for the host.

    Args:
        methods: by op, as ``METHODS``; what computes elementwise ops and groups is fixed.
    """

    def __init__(self, methods: Mapping[type[Op], tuple[Method, ...]] = METHODS) -> None:
        self._methods = methods
        self._elementwise = (ElementwiseProgram(),)
        self._groups = (FusedGroup(self._find),)

    def supports(self, node: Node, target: Target) -> Support:
        return self._choose(node, target)[1]

    def kernel(self, node: Node, target: Target) -> Kernel:
        """The kernel of the first method that supports the node.

        Raises:
            KernelError: none does.
        """
        method, support = self._choose(node, target)
        if method is None:
            raise KernelError(f"no kernel for {node.op.name}: {support.reason}")
        return method.kernel(node, constant_of)

    def _choose(self, node: Node, target: Target) -> tuple[Method | None, Support]:
        if target.kind != "host":
            return None, Support.no("these kernels run on the host")
        return _first(self._groups, node) if isinstance(node.op, Group) else self._find(node)

    def _find(self, node: Node) -> tuple[Method | None, Support]:
        """The method for a node that is no group, or the reasons why there is none."""
        default = self._elementwise if isinstance(node.op, Elementwise) else ()
        return _first(self._methods.get(type(node.op), default), node)


def _first(methods: tuple[Method, ...], node: Node) -> tuple[Method | None, Support]:
    reasons: list[str] = []
    for method in methods:
        support = method.supports(node)
        if support.ok:
            return method, support
        reasons.append(support.reason)
    none = f"{node.op.name} has no kernel here: its reference is as fast"
    return None, Support.no("; ".join(dict.fromkeys(reasons)) or none)
