"""Checking the importer: models of one node, run by GIE's references and by a peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gie_core.builder.importing import Imported
from gie_core.ir.types import Array, DType
from gie_core.ir.verify import verify
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.ops.run import bind_inputs
from gie_core.runtime.host import HostExecutor
from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.provider import OnnxReferenceProvider
from gie_importer_onnx.tensors import ELEMENT_TYPES, array_of

__all__ = [
    "Constant",
    "check_node",
    "compare_with_peer",
    "load_tensor",
    "node_model",
    "run_imported",
]


def run_imported(imported: Imported, *inputs: Any) -> list[Any]:
    """The outputs of an imported model by the reference of each op, and by ``onnx.reference``."""
    providers = [
        NamedProvider("onnx-reference", OnnxReferenceProvider()),
        NamedProvider("reference", ReferenceProvider()),
    ]
    sizes = bind_inputs(imported.graph, inputs)
    return HostExecutor(imported.graph, (), providers).context(sizes).run(inputs)


def load_tensor(path: Path) -> Array:
    """The array in a file that holds a serialized ``TensorProto``."""
    return array_of(TensorProto.FromString(path.read_bytes()), path.name)


@dataclass(frozen=True)
class Constant:
    """An operand that the model holds itself."""

    data: Any


def check_node(
    op: str,
    *operands: Any,
    opset: int,
    peer: str = "onnxruntime",
    native: bool = True,
    symbolic: bool = True,
    rtol: float = 1e-5,
    **options: Any,
) -> None:
    """Import a model of one node, run it, and compare with a peer.

    Args:
        op: its type.
        operands: see ``node_model``.
        opset: the opset it is written in.
        peer: "onnxruntime", or "reference" for what that does not run.
        native: whether the node must become GIE's own ops, or must become foreign.
        symbolic: check a second time with a symbol for every extent of the inputs.
        rtol: of the largest magnitude of the expected output.
        **options: outputs, domain, and attributes, see ``node_model``.

    Raises:
        AssertionError: it became the other kind of node, or the outputs differ.
    """
    for names_for_extents in (False, True) if symbolic else (False,):
        model = node_model(op, operands, opset, symbolic=names_for_extents, **options)
        compare_with_peer(model, _inputs(operands), native, peer, rtol)


def compare_with_peer(
    model: ModelProto,
    inputs: Sequence[Any],
    native: bool = True,
    peer: str = "onnxruntime",
    rtol: float = 1e-5,
) -> Imported:
    """Import and verify a model, run it, and compare all outputs with a peer's.

    Raises:
        AssertionError: a node became foreign or native against ``native``, or outputs differ.
    """
    imported = OnnxImporter().load(model)
    verify(imported.graph)
    reasons = [f"{node.op}: {node.reason}" for node in imported.report.foreign]
    assert native == (not reasons), f"foreign nodes: {reasons}"
    results = run_imported(imported, *inputs)
    expected = _run_peer(model, inputs, peer)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        _compare(result, np.asarray(wanted), rtol)
    return imported


def _compare(result: Array, wanted: Array, rtol: float) -> None:
    assert result.shape == wanted.shape, f"shape {result.shape}, expected {wanted.shape}"
    if result.dtype == object:
        assert result.tolist() == wanted.tolist()
        return
    assert result.dtype == wanted.dtype, f"{result.dtype}, expected {wanted.dtype}"
    if not DType.of(result.dtype).is_float:
        np.testing.assert_array_equal(result, wanted)
        return
    wide, exact = result.astype(np.float64), wanted.astype(np.float64)
    scale = np.max(np.abs(exact[np.isfinite(exact)]), initial=0.0)
    np.testing.assert_allclose(wide, exact, rtol=rtol, atol=rtol * scale)


def _run_peer(model: ModelProto, inputs: Sequence[Any], peer: str) -> list[Any]:
    names = [value.name for value in model.graph.input]
    feeds = dict(zip(names, inputs, strict=True))
    if peer == "reference":
        with np.errstate(all="ignore"):
            evaluator: Any = ReferenceEvaluator(model)
            return list(evaluator.run(None, feeds))
    import onnxruntime  # a peer: only where tests ask for it

    session: Any = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def _inputs(operands: Sequence[Any]) -> list[Any]:
    return [o for o in operands if o is not None and not isinstance(o, Constant)]


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
    constants = [
        numpy_helper.from_array(np.asarray(c.data), name)
        for name, c in given
        if isinstance(c, Constant)
    ]
    results = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    declared = [helper.make_empty_tensor_value_info(name) for name in results]
    graph = helper.make_graph([node], op, inputs, declared, constants)
    imports = [helper.make_opsetid("", opset)] + (
        [helper.make_opsetid(domain, 1)] if domain else []
    )
    # An IR version that older peers read too.
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _element_type(array: Array) -> int:
    return ELEMENT_TYPES[DType.of(array.dtype)]


def _shape(name: str, array: Array, symbolic: bool) -> list[int | str]:
    return [f"{name}_{axis}" if symbolic else extent for axis, extent in enumerate(array.shape)]
