"""Foreign ops: what an importer found and the IR does not define."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gie_core.ir.attribute import FrozenMapping
from gie_core.ir.op import Op, Trait
from gie_core.ir.types import Type

__all__ = ["Foreign"]


class Foreign(Op, name="foreign", results=("*y",), traits=(Trait.OPAQUE, Trait.IMPURE)):
    """An op of another framework, kept as it was; it runs if a kernel provider claims its domain.

    Args:
        domain: who defines it ("ai.onnx", "caffe", …).
        op: its name there.
        version: the version of its definition (an ONNX opset number).
        attributes: as found; graphs and other structures as the framework's own bytes.
    """

    domain: str
    op: str
    version: int = 0
    attributes: Mapping[str, Any] = FrozenMapping()

    def infer(self, *xs: Type | None) -> None:
        return None
