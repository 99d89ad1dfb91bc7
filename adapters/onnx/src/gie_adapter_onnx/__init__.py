"""GIE behind ONNX's and ONNX Runtime's own calls.

Code written for ONNX Runtime changes one import::

    import gie_adapter_onnx as ort
    session = ort.InferenceSession("model.onnx")
    [y] = session.run(None, {"x": x})

and ``gie_adapter_onnx.backend`` implements ONNX's backend interface.
"""

from __future__ import annotations

from gie_adapter_onnx.session import (
    GraphOptimizationLevel,
    InferenceSession,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
    get_available_providers,
    get_device,
)

__all__ = [
    "GraphOptimizationLevel",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "RunOptions",
    "SessionOptions",
    "get_available_providers",
    "get_device",
]
