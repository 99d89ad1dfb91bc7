"""The provider: which methods compute which op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.conv import Conv, ConvTranspose
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.group import Group
from gie_core.ops.linear import Gemm, Matmul
from gie_core.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Lrn, Softmax
from gie_core.ops.pointwise import Pointwise
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.reduce import ReduceMean, ReduceSum
from gie_core.ops.resize import Resize
from gie_core.runtime.target import Target
from gie_kernels_cpu.cost import ranked
from gie_kernels_cpu.depthwise_planes import DepthwisePlanes
from gie_kernels_cpu.depthwise_rows import DepthwiseRows
from gie_kernels_cpu.gemm import GemmProduct, MatmulProduct
from gie_kernels_cpu.groups import FusedGroup, find_candidate, find_method
from gie_kernels_cpu.im2col import Im2colConvolution
from gie_kernels_cpu.kernel import Method, constant_of, static_support
from gie_kernels_cpu.moving import MOVING
from gie_kernels_cpu.normalization import (
    BatchNormalization,
    ChannelNormalization,
    LayerNormalization,
    LocalResponse,
    RowSoftmax,
)
from gie_kernels_cpu.pointwise import ElementwiseProgram, PointwiseProgram
from gie_kernels_cpu.pointwise_convolution import PointwiseConvolution
from gie_kernels_cpu.pooling import AveragePooling, MaxPooling
from gie_kernels_cpu.reduction import TrailingSum
from gie_kernels_cpu.resizing import ImageResize
from gie_kernels_cpu.shifted import ShiftedConvolution
from gie_kernels_cpu.transposed import TransposedConvolution
from gie_kernels_cpu.winograd import WinogradConvolution

__all__ = ["METHODS", "CpuProvider"]

Methods = Mapping[str, Method]
"""Methods by what the names of their candidates begin with; "" if there is only one."""

METHODS: dict[type[Op], Methods] = {
    Conv: {
        "gemm ": PointwiseConvolution(),
        "depthwise rows ": DepthwiseRows(),
        "depthwise planes ": DepthwisePlanes(),
        "winograd 4x4 ": WinogradConvolution(4),
        "winograd 2x2 ": WinogradConvolution(2),
        "shifted ": ShiftedConvolution(),
        "im2col ": Im2colConvolution(),
    },
    ConvTranspose: {"": TransposedConvolution()},
    MaxPool: {"": MaxPooling()},
    AveragePool: {"": AveragePooling()},
    Matmul: {"": MatmulProduct()},
    Gemm: {"": GemmProduct()},
    BatchNorm: {"": BatchNormalization()},
    InstanceNorm: {"": ChannelNormalization()},
    GroupNorm: {"": ChannelNormalization()},
    LayerNorm: {"": LayerNormalization()},
    Lrn: {"": LocalResponse()},
    Softmax: {"": RowSoftmax()},
    ReduceSum: {"": TrailingSum()},
    ReduceMean: {"": TrailingSum()},
    Resize: {"": ImageResize()},
    Pointwise: {"": PointwiseProgram()},
    **{op: {"": method} for op, method in MOVING.items()},
}
"""Ways to compute an op: all that support a node compete."""

ELEMENTWISE: Methods = {"": ElementwiseProgram()}


class CpuProvider:
    """Kernels over NumPy and BLAS for the host.

    Args:
        methods: by op, as ``METHODS``; what computes elementwise ops and groups is fixed.
    """

    def __init__(self, methods: Mapping[type[Op], Methods] = METHODS) -> None:
        self._methods = methods
        self._group: Methods = {"": FusedGroup(self._of)}

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("these kernels run on the host")
        support = static_support(node)
        if not support.ok:
            return support
        supports = [method.supports(node) for method in self._of(node.op).values()]
        if any(support.ok for support in supports):
            return Support.yes()
        none = f"{node.op.name} has no kernel here: its reference is as fast"
        return Support.no("; ".join(dict.fromkeys(s.reason for s in supports)) or none)

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        found = [
            replace(candidate, name=f"{prefix}{candidate.name}")
            for prefix, method in self._supporting(node).items()
            for candidate in method.candidates(node, constant_of)
        ]
        return ranked(found) if isinstance(node.op, Conv | Group) else found

    def candidate(self, node: Node, name: str, target: Target) -> Candidate | None:
        return find_candidate(self._of(node.op), node, name, constant_of)

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        method, name = find_method(self._of(node.op), candidate)
        return method.prepack(node, name, constant_of)

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        method, name = find_method(self._of(node.op), candidate)
        return method.bind(node, name, memory)

    def _of(self, op: Op) -> Methods:
        if isinstance(op, Group):
            return self._group
        return self._methods.get(type(op), ELEMENTWISE if isinstance(op, Elementwise) else {})

    def _supporting(self, node: Node) -> Methods:
        return {p: m for p, m in self._of(node.op).items() if m.supports(node).ok}
