"""GIE: an inference engine.

::

    import gie_core
    engine = gie_core.build("model.onnx")
    y = engine(x)
    engine.save("model.gie")

    engine = gie_core.load("model.gie")

Names are loaded on first use, so that ``import gie_core`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gie_core.builder.pipeline import build, optimize
    from gie_core.engine.engine import Context, Engine, TensorInfo
    from gie_core.errors import GieError
    from gie_core.ir.graph import Graph
    from gie_core.ir.graph_builder import GraphBuilder
    from gie_core.loading import load

__all__ = [
    "Context",
    "Engine",
    "GieError",
    "Graph",
    "GraphBuilder",
    "TensorInfo",
    "__version__",
    "build",
    "load",
    "optimize",
]

__version__ = "0.1.0"

_HOMES = {
    "build": "gie_core.builder.pipeline",
    "optimize": "gie_core.builder.pipeline",
    "Context": "gie_core.engine.engine",
    "Engine": "gie_core.engine.engine",
    "TensorInfo": "gie_core.engine.engine",
    "GieError": "gie_core.errors",
    "Graph": "gie_core.ir.graph",
    "GraphBuilder": "gie_core.ir.graph_builder",
    "load": "gie_core.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gie_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
