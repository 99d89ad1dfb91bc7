"""What this plugin declares. Imports neither onnx nor NumPy, so that listing plugins is fast."""

from __future__ import annotations

from gie_core.plugin import ImporterDeclaration, KernelProviderDeclaration, hookimpl

__all__ = ["gie_importers", "gie_kernel_providers"]


@hookimpl
def gie_importers() -> list[ImporterDeclaration]:
    """The importer of ONNX models."""
    return [
        ImporterDeclaration(
            name="onnx",
            factory="gie_importer_onnx.importer:OnnxImporter",
            summary="ONNX models, opset 7 to the newest",
            suffixes=(".onnx",),
            types=("onnx.ModelProto",),
        )
    ]


@hookimpl
def gie_kernel_providers() -> list[KernelProviderDeclaration]:
    """The provider that runs what GIE has no op for."""
    return [
        KernelProviderDeclaration(
            name="onnx-reference",
            factory="gie_importer_onnx.provider:OnnxReferenceProvider",
            summary="foreign ONNX nodes, by onnx.reference",
            order=900,
        )
    ]
