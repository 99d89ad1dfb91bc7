"""Checking the importer: models of one node, run by GIE's references and by a peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gie_core.builder.importing import Imported
from gie_core.builder.kernels import NamedProvider, ReferenceProvider
from gie_core.ir.types import Array, DType
from gie_core.runtime.host import HostExecutor
from gie_importer_onnx.reference import OnnxReferenceProvider
from gie_importer_onnx.tensors import ELEMENT_TYPES, array_of

__all__ = ["Constant", "load_tensor", "node_model", "run_imported"]


def run_imported(imported: Imported, *inputs: Any) -> list[Any]:
    """The outputs of an imported model by the reference of each op, and by ``onnx.reference``."""
    providers = [
        NamedProvider("onnx-reference", OnnxReferenceProvider()),
        NamedProvider("reference", ReferenceProvider()),
    ]
    return HostExecutor(imported.graph, providers).run(inputs)


def load_tensor(path: Path) -> Array:
    """The array in a file that holds a serialized ``TensorProto``."""
    return array_of(TensorProto.FromString(path.read_bytes()), path.name)


@dataclass(frozen=True)
class Constant:
    """An operand that the model holds itself."""

    data: Any


def node_model(
    op: str,
    operands: Sequence[Any],
    opset: int,
    outputs: int = 1,
    symbolic: bool = False,
    domain: str = "",
    **attributes: Any,
) -> ModelProto:
    """A model of one node.

    Args:
        op: its type.
        operands: arrays for the model's inputs ``x0``, ``x1``, …; a ``Constant`` for an
            initializer; ``None`` for one that is left out.
        opset: of the domain and of ONNX itself.
        outputs: how many, called ``y0``, ``y1``, …
        symbolic: every extent of an input is a symbol of its own.
        domain: whose op.
        **attributes: of the node.
    """
    names = ["" if operand is None else f"x{index}" for index, operand in enumerate(operands)]
    given = list(zip(names, operands, strict=True))
    inputs = [
        helper.make_tensor_value_info(name, _element_type(array), _shape(name, array, symbolic))
        for name, array in given
        if name and not isinstance(array, Constant)
    ]
    constants = [numpy_helper.from_array(np.asarray(c.data), name) for name, c in given if isinstance(c, Constant)]
    results = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    declared = [helper.make_empty_tensor_value_info(name) for name in results]
    graph = helper.make_graph([node], op, inputs, declared, constants)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    # An IR version that older peers read too.
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _element_type(array: Array) -> int:
    return ELEMENT_TYPES[DType.of(array.dtype)]


def _shape(name: str, array: Array, symbolic: bool) -> list[int | str]:
    return [f"{name}_{axis}" if symbolic else extent for axis, extent in enumerate(array.shape)]
