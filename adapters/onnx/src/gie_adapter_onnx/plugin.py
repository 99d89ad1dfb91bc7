"""What this distribution adds to GIE."""

from __future__ import annotations

from gie_core.plugin import AdapterDeclaration, hookimpl


@hookimpl
def gie_adapters() -> list[AdapterDeclaration]:
    """Two ways in: ONNX Runtime's session, and ONNX's backend interface."""
    return [
        AdapterDeclaration(
            name="onnxruntime",
            factory="gie_adapter_onnx.session:InferenceSession",
            summary="InferenceSession with ONNX Runtime's calling convention",
            framework="onnxruntime",
        ),
        AdapterDeclaration(
            name="onnx-backend",
            factory="gie_adapter_onnx.backend:GieBackend",
            summary="ONNX's backend interface: prepare, run_model, run_node",
            framework="onnx",
        ),
    ]
