"""What this distribution brings to GIE."""

from __future__ import annotations

from gie_core.plugin import KernelProviderDeclaration, hookimpl

__all__ = ["gie_kernel_providers"]


@hookimpl
def gie_kernel_providers() -> list[KernelProviderDeclaration]:
    """The Numba provider."""
    return [
        KernelProviderDeclaration(
            name="numba",
            factory="gie_kernels_numba.provider:NumbaProvider",
            summary="Kernels compiled by Numba",
            order=110,
            min_gain=0.1,  # its machine code is loaded by a library of 100 MB
            targets=("host",),
        )
    ]
