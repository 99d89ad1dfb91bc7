"""GIE behind ONNX's and ONNX Runtime's own calls.

Code written for ONNX Runtime changes one import::

    import gie_adapter_onnx as ort
    session = ort.InferenceSession("model.onnx")
    [y] = session.run(None, {"x": x})

and ``gie_adapter_onnx.backend`` implements ONNX's backend interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Load the session on first use: `gie` imports this package to see what it declares."""
    if name not in __all__:
        raise AttributeError(f"module 'gie_adapter_onnx' has no attribute {name!r}")
    from gie_adapter_onnx import session

    return getattr(session, name)
