"""The provider of kernels for foreign ONNX nodes.

It imports ``onnx`` only when it meets such a node: networks without any don't pay for it.
"""

from __future__ import annotations

from gie_core.ir.graph import Node
from gie_core.kernels.candidate import Support
from gie_core.kernels.provider import Function
from gie_core.kernels.reference import FunctionKernels
from gie_core.ops.foreign import Foreign
from gie_core.runtime.target import Target

__all__ = ["OnnxReferenceProvider"]


class OnnxReferenceProvider(FunctionKernels):
    """Runs ``foreign`` nodes of the domains that ``onnx.reference`` implements."""

    def supports(self, node: Node, target: Target) -> Support:
        """Whether ``onnx.reference`` has the op."""
        if target.kind != "host":
            return Support.no("onnx.reference runs on the host")
        if not isinstance(node.op, Foreign):
            return Support.no("only foreign nodes need onnx.reference")
        from gie_importer_onnx import reference

        return reference.support(node, node.op)

    def function(self, node: Node, target: Target) -> Function:
        """A function that evaluates the node; the evaluator is made once."""
        from gie_importer_onnx import reference

        return reference.function(node)
