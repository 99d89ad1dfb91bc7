"""Handlers: which function turns which ONNX op, of which opset, into GIE's ops.

A handler takes a ``Call`` and returns the value (or values) of the node's outputs.
Where it can't, it raises ``Unsupported`` with the reason; the node then becomes
foreign, whatever the handler had added.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from gie_core.ir.graph import Value
from gie_importer_onnx.reading import ONNX_DOMAIN

if TYPE_CHECKING:
    from gie_importer_onnx.call import Call

__all__ = ["FAMILIES", "Handler", "Unsupported", "find_handler", "handled_ops", "handler"]

FAMILIES = (
    "activation",
    "arithmetic",
    "control",
    "convolution",
    "indexing",
    "layout",
    "linear",
    "normalization",
    "pooling",
    "quantization",
    "quantized",
    "reduction",
    "resizing",
    "scan",
    "shape",
    "slicing",
)
"""Modules of ``handlers`` that register handlers."""

Handler = Callable[["Call"], "Value | Sequence[Value]"]


class Unsupported(Exception):  # noqa: N818 - a refusal, not an error: the node becomes foreign
    """Why a handler can't represent a node natively."""


_HANDLERS: dict[tuple[str, str], list[tuple[int, Handler]]] = {}


def handler(*ops: str, since: int = 1, domain: str = ONNX_DOMAIN) -> Callable[[Handler], Handler]:
    """Register a function for ops, from an opset version on, until the next registered version.

    Args:
        ops: ONNX op types.
        since: the first opset version whose meaning the handler implements.
        domain: whose ops.
    """

    def register(function: Handler) -> Handler:
        for op in ops:
            versions = _HANDLERS.setdefault((domain, op), [])
            versions.append((since, function))
            versions.sort(key=lambda entry: entry[0])
        return function

    return register


def find_handler(domain: str, op: str, version: int) -> Handler | None:
    """The handler with the highest ``since`` that is not above the version."""
    _load()
    fitting = [function for since, function in _HANDLERS.get((domain, op), ()) if since <= version]
    return fitting[-1] if fitting else None


def handled_ops() -> tuple[tuple[str, str], ...]:
    """(domain, op) of everything that has a handler."""
    _load()
    return tuple(sorted(_HANDLERS))


@cache
def _load() -> None:
    for family in FAMILIES:
        importlib.import_module(f"gie_importer_onnx.handlers.{family}")
