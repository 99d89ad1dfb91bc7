"""The provider keeps the contract of kernel providers, for every op it supports."""

from __future__ import annotations

from gie_core.testing.conformance import check_provider
from gie_kernels_cpu.provider import CpuProvider


def test_conformance() -> None:
    supported = {case.op for case in check_provider(CpuProvider())}
    assert supported >= {"conv", "conv_transpose", "gemm", "matmul", "max_pool", "average_pool"}
    assert supported >= {"batch_norm", "layer_norm", "softmax", "lrn", "pointwise", "group"}
