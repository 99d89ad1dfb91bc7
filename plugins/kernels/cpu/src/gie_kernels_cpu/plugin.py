"""What this distribution brings to GIE."""

from __future__ import annotations

from gie_core.plugin import KernelProviderDeclaration, hookimpl

__all__ = ["gie_kernel_providers"]


@hookimpl
def gie_kernel_providers() -> list[KernelProviderDeclaration]:
    """The CPU provider."""
    return [
        KernelProviderDeclaration(
            name="cpu",
            factory="gie_kernels_cpu.provider:CpuProvider",
            summary="Kernels over NumPy and BLAS",
            order=100,
            targets=("host",),
        )
    ]
