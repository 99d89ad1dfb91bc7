"""Elementwise ops, data movement, indexing, quantization and control against ONNX's runtimes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.ir.graph import Graph
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType
from gie_core.ops import activation as act
from gie_core.ops import arithmetic as ari
from gie_core.ops import index as idx
from gie_core.ops import shape as shp
from gie_core.ops.control import Loop
from gie_core.ops.quantize import Dequantize, Quantize
from gie_core.ops.run import run_graph
from gie_core.testing.ops import check, draw, tensor_type

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx.reference")

RUNTIME_OPSET = 23
Operands = Sequence[Array | None]
INF, NAN = math.inf, math.nan


def model(name: str, operands: Operands, results: int, opset: int, attributes: Any) -> Any:
    """A model of one node."""
    helper = onnx.helper
    names = ["" if x is None else f"x{index}" for index, x in enumerate(operands)]
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, operands, strict=True)
        if x is not None
    ]
    outputs = [f"y{index}" for index in range(results)]
    node = helper.make_node(name, names, outputs, **attributes)
    infos = [helper.make_empty_tensor_value_info(output) for output in outputs]
    graph = helper.make_graph([node], "one", inputs, infos)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def by_onnxruntime(name: str, operands: Operands, results: int, attributes: Any) -> list[Array]:
    proto = model(name, operands, results, RUNTIME_OPSET, attributes)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        onnx.shape_inference.infer_shapes(proto).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    return session.run(None, {f"x{i}": x for i, x in enumerate(operands) if x is not None})


def by_reference(name: str, operands: Operands, results: int, attributes: Any) -> list[Array]:
    proto = model(name, operands, results, onnx.defs.onnx_opset_version(), attributes)
    feeds = {f"x{i}": x for i, x in enumerate(operands) if x is not None}
    with np.errstate(all="ignore"):
        return onnx.reference.ReferenceEvaluator(proto).run(None, feeds)


F = np.array([[-2.5, -1.5, -0.5, 0.0], [0.5, 1.5, 2.5, 3.0]], np.float32)
U = np.linspace(-0.95, 0.95, 8, dtype=np.float32)
P = np.linspace(1.0, 4.0, 8, dtype=np.float32)
I = np.array([-7, -3, -1, 1, 5, 7, 100, -100], np.int32)  # noqa: E741 - beside F, U and P
J = np.array([3, -2, 5, 2, -3, 7, 9, 11], np.int32)
B = np.array([True, False, True, True])
X = draw(2, 3, 4)


def ints(*values: Any) -> Array:
    return np.array(values, np.int64)


UNARY = {
    "Abs": (ari.Abs(), F), "Neg": (ari.Neg(), F), "Floor": (ari.Floor(), F),
    "Ceil": (ari.Ceil(), F), "Round": (ari.Round(), F), "Sign": (ari.Sign(), F),
    "Reciprocal": (ari.Reciprocal(), P), "Sqrt": (ari.Sqrt(), P), "Exp": (ari.Exp(), F),
    "Log": (ari.Log(), P), "Erf": (ari.Erf(), F), "Sin": (ari.Sin(), F), "Cos": (ari.Cos(), F),
    "Tan": (ari.Tan(), F), "Asin": (ari.Asin(), U), "Acos": (ari.Acos(), U),
    "Atan": (ari.Atan(), F), "Sinh": (ari.Sinh(), F), "Cosh": (ari.Cosh(), F),
    "Asinh": (ari.Asinh(), F), "Acosh": (ari.Acosh(), P), "Atanh": (ari.Atanh(), U),
    "Not": (ari.Not(), B), "IsNaN": (ari.IsNan(), F), "Relu": (act.Relu(), F),
    "Sigmoid": (act.Sigmoid(), F), "HardSwish": (act.HardSwish(), F), "Mish": (act.Mish(), F),
    "Softplus": (act.Softplus(), F), "Softsign": (act.Softsign(), F), "Tanh": (act.Tanh(), F),
    "Elu": (act.Elu(), F), "Selu": (act.Selu(), F), "Celu": (act.Celu(), F),
    "LeakyRelu": (act.LeakyRelu(), F), "HardSigmoid": (act.HardSigmoid(), F),
    "ThresholdedRelu": (act.ThresholdedRelu(), F), "Gelu": (act.Gelu(), F),
    "Shrink": (act.Shrink(), F),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    op, x = UNARY[name]
    check(op, x, expect=tuple(by_reference(name, [x], 1, {})), rtol=2e-6)
    check(op, x, expect=tuple(by_onnxruntime(name, [x], 1, {})), rtol=2e-5)


# Where a runtime is left out, the comment says why.
BOTH, REFERENCE, RUNTIME = "both", "onnx.reference", "onnxruntime"
CASES: list[tuple[Op, Operands, str, Operands | None, dict[str, Any], str]] = [
    # op, operands, ONNX's op, its operands if others, its attributes, compared with
    (ari.Add(), (F, F[:, :1]), "Add", None, {}, BOTH),
    (ari.Sub(), (I, J), "Sub", None, {}, BOTH),
    (ari.Mul(), (I, J), "Mul", None, {}, BOTH),
    (ari.Div(), (I, J), "Div", None, {}, BOTH),
    (ari.Div(), (F, F[:, :1]), "Div", None, {}, BOTH),
    (ari.Mod(), (I, J), "Mod", None, {}, BOTH),
    (ari.Mod(fmod=True), (I, J), "Mod", None, {"fmod": 1}, BOTH),
    (ari.Mod(fmod=True), (F, F[:, :1]), "Mod", None, {"fmod": 1}, BOTH),
    (ari.Mod(), (F, F[:, :1]), "Mod", None, {}, REFERENCE),  # newer than onnxruntime's
    (ari.Pow(), (P, U), "Pow", None, {}, BOTH),
    (ari.Pow(), (np.abs(I), P), "Pow", None, {}, RUNTIME),  # the reference wraps otherwise
    (ari.Pow(), (F, np.array([2, 3, 2, 1])), "Pow", None, {}, BOTH),
    (ari.Pow(), (I[:4], np.array([2, 3, 4, 0])), "Pow", None, {}, BOTH),
    (ari.Min(), (F, np.float32(NAN)), "Min", None, {}, BOTH),
    (ari.Max(), (I, J), "Max", None, {}, BOTH),
    (ari.Clip(), (F, np.float32(-1), np.float32(2)), "Clip", None, {}, BOTH),
    (ari.Clip(), (F, None, np.float32(1)), "Clip", None, {}, BOTH),
    (ari.Clip(), (I, np.int32(5), np.int32(-5)), "Clip", None, {}, BOTH),
    (ari.Equal(), (I, J), "Equal", None, {}, BOTH),
    (ari.Less(), (F, F[:, :1]), "Less", None, {}, BOTH),
    (ari.LessEqual(), (I, J), "LessOrEqual", None, {}, BOTH),
    (ari.Greater(), (I, J), "Greater", None, {}, BOTH),
    (ari.GreaterEqual(), (F, F[:, :1]), "GreaterOrEqual", None, {}, BOTH),
    (ari.IsInf(), (np.array([INF, -INF, NAN], np.float32),), "IsInf", None, {}, BOTH),
    (
        ari.IsInf(negative=False),
        (np.array([INF, -INF, NAN], np.float32),),
        "IsInf",
        None,
        {"detect_negative": 0},
        BOTH,
    ),
    (ari.And(), (B, B[::-1]), "And", None, {}, BOTH),
    (ari.Xor(), (B, B[::-1]), "Xor", None, {}, BOTH),
    (ari.BitwiseAnd(), (I, J), "BitwiseAnd", None, {}, BOTH),
    (ari.BitwiseNot(), (I,), "BitwiseNot", None, {}, BOTH),
    (
        ari.ShiftLeft(),
        (np.array([1, 200], np.uint8), np.array([3, 1], np.uint8)),
        "BitShift",
        None,
        {"direction": "LEFT"},
        BOTH,
    ),
    (ari.ShiftRight(), (I, np.int32(2)), "BitShift", None, {"direction": "RIGHT"}, REFERENCE),
    (ari.ShiftRight(), (I, np.int32(40)), "BitShift", None, {"direction": "RIGHT"}, REFERENCE),
    (ari.Where(), (B, F, -F), "Where", None, {}, BOTH),
    (ari.Cast(to=DType.I32), (F,), "Cast", None, {"to": 6}, BOTH),
    (ari.Cast(to=DType.I8), (I * 50,), "Cast", None, {"to": 3}, BOTH),
    (ari.Cast(to=DType.F16), (F * 30000,), "Cast", None, {"to": 10}, BOTH),
    (ari.Cast(to=DType.BOOL), (F,), "Cast", None, {"to": 9}, BOTH),
    # onnxruntime hands out no arrays of these types.
    (ari.Cast(to=DType.F8E4M3), (F * 300,), "Cast", None, {"to": 17}, REFERENCE),
    (
        ari.Cast(to=DType.F8E5M2, saturate=False),
        (F * 1e5,),
        "Cast",
        None,
        {"to": 19, "saturate": 0},
        REFERENCE,
    ),
    (ari.Cast(to=DType.BF16), (F / 3,), "Cast", None, {"to": 16}, REFERENCE),
    (act.PRelu(), (X, draw(3, 1)), "PRelu", None, {}, BOTH),
    (act.Gelu(approximate="tanh"), (F,), "Gelu", None, {"approximate": "tanh"}, BOTH),
    (act.Shrink(bias=0.5, lambd=1.0), (F,), "Shrink", None, {"bias": 0.5, "lambd": 1.0}, BOTH),
    (act.Celu(alpha=2.0), (F,), "Celu", None, {"alpha": 2.0}, BOTH),
    (act.Silu(alpha=1.5), (F,), "Swish", None, {"alpha": 1.5}, REFERENCE),  # of opset 24
    # Data movement
    (shp.Transpose(permutation=(2, 0, 1)), (X,), "Transpose", None, {"perm": [2, 0, 1]}, BOTH),
    (shp.Concat(axis=1), (X, X), "Concat", None, {"axis": 1}, BOTH),
    (shp.Trilu(k=1), (X,), "Trilu", (X, ints(1)[0:1].reshape(())), {}, BOTH),
    (shp.Trilu(upper=False, k=-1), (X,), "Trilu", (X, np.array(-1)), {"upper": 0}, BOTH),
    (shp.Tile(repeats=(2, 1, 3)), (X,), "Tile", (X, ints(2, 1, 3)), {}, BOTH),
    (shp.Expand(shape=(2, 2, 3, 4)), (X,), "Expand", (X, ints(2, 2, 3, 4)), {}, BOTH),
    (shp.ShapeOf(), (X,), "Shape", None, {}, BOTH),
    (
        shp.Slice(axes=(1, 2), starts=(2, 0), ends=(-1, 4), steps=(-1, 3)),
        (X,),
        "Slice",
        (X, ints(2, 0), ints(-99, 99), ints(1, 2), ints(-1, 3)),
        {},
        BOTH,
    ),
    *(
        (
            shp.Pad(pads=(0, 1, 2, 0, 2, 1), mode=mode),
            (X,),
            "Pad",
            (X, ints(0, 1, 2, 0, 2, 1)),
            {"mode": mode},
            BOTH,
        )
        for mode in ("reflect", "edge", "wrap")
    ),
    (
        shp.Pad(pads=(0, -1, 2, 0, 0, -1)),
        (X, np.float32(5)),
        "Pad",
        (X, ints(0, -1, 2, 0, 0, -1), np.float32(5)),
        {},
        RUNTIME,  # the reference does not crop
    ),
    *(
        (
            shp.DepthToSpace(block=2, mode=mode),
            (draw(2, 8, 3, 2),),
            "DepthToSpace",
            None,
            {"blocksize": 2, "mode": mode},
            BOTH,
        )
        for mode in ("DCR", "CRD")
    ),
    (
        shp.SpaceToDepth(block=2),
        (draw(2, 3, 4, 6),),
        "SpaceToDepth",
        None,
        {"blocksize": 2},
        BOTH,
    ),
    # Indexing
    (idx.Gather(axis=1), (X, ints(0, -1, 2)), "Gather", None, {"axis": 1}, BOTH),
    (
        idx.GatherElements(axis=2),
        (X, np.array([[[0, -1], [2, 3]]])),
        "GatherElements",
        None,
        {"axis": 2},
        RUNTIME,  # the reference wants equal extents
    ),
    (
        idx.GatherNd(batch_dims=1),
        (X, np.array([[[0, 1], [2, 3]], [[1, 1], [0, -1]]])),
        "GatherND",
        None,
        {"batch_dims": 1},
        BOTH,
    ),
    *(
        (
            idx.ScatterElements(axis=1, reduction=reduction),
            (X, np.array([[[0, 1], [0, -1]]]), draw(1, 2, 2)),
            "ScatterElements",
            None,
            {"axis": 1, "reduction": reduction},
            BOTH,
        )
        for reduction in ("none", "add", "mul", "min", "max")
    ),
    *(
        (
            idx.ScatterNd(reduction=reduction),
            (X, np.array([[0, 1], [1, 2], [0, 1]]), draw(3, 4)),
            "ScatterND",
            None,
            {"reduction": reduction},
            BOTH,
        )
        for reduction in ("add", "mul", "min", "max")
    ),
    (
        idx.OneHot(depth=4, axis=1),
        (ints(0, 3, -1, 9), np.array([-1.0, 2.0], np.float32)),
        "OneHot",
        (ints(0, 3, -1, 9), ints(4), np.array([-1.0, 2.0], np.float32)),
        {"axis": 1},
        RUNTIME,  # the reference takes indices modulo the depth
    ),
    *(
        (
            idx.TopK(k=2, axis=1, largest=bool(largest)),
            (np.array([[1, 3, 3, 1], [2, 2, 0, 2]], np.float32),),
            "TopK",
            (np.array([[1, 3, 3, 1], [2, 2, 0, 2]], np.float32), ints(2)),
            {"axis": 1, "largest": largest},
            BOTH,
        )
        for largest in (0, 1)
    ),
    *(
        (
            idx.CumSum(axis=1, exclusive=bool(exclusive), reverse=bool(reverse)),
            (X,),
            "CumSum",
            (X, np.array(1)),
            {"exclusive": exclusive, "reverse": reverse},
            BOTH,
        )
        for exclusive in (0, 1)
        for reverse in (0, 1)
    ),
    (idx.ArgMax(axis=2), (X,), "ArgMax", None, {"axis": 2}, BOTH),
    (
        idx.ArgMin(axis=0, keep_dims=False, last=True),
        (np.round(X),),
        "ArgMin",
        None,
        {"axis": 0, "keepdims": 0, "select_last_index": 1},
        BOTH,
    ),
    (
        idx.ReverseSequence(),
        (X, ints(2, 1, 0)),
        "ReverseSequence",
        None,
        {"batch_axis": 1, "time_axis": 0},
        BOTH,
    ),
    # Quantization
    (Quantize(), (F * 40, np.float32(0.3), np.uint8(20)), "QuantizeLinear", None, {}, BOTH),
    (
        Quantize(to=DType.I8),
        (X * 40, P[:3], np.array([0, 5, -5], np.int8)),
        "QuantizeLinear",
        None,
        {"axis": 1},
        BOTH,
    ),
    (
        Quantize(to=DType.I16, axis=2, block=2),
        (X * 40, np.abs(draw(2, 3, 2)) + 0.1, draw(2, 3, 2, dtype=DType.I16)),
        "QuantizeLinear",
        None,
        {"axis": 2, "block_size": 2},
        BOTH,
    ),
    (
        Dequantize(),
        (draw(2, 3, 4, dtype=DType.U8), P[:3], np.array([0, 5, 200], np.uint8)),
        "DequantizeLinear",
        None,
        {"axis": 1},
        BOTH,
    ),
    (
        Dequantize(axis=2, block=2),
        (draw(2, 3, 4, dtype=DType.I8), np.abs(draw(2, 3, 2)), draw(2, 3, 2, dtype=DType.I8)),
        "DequantizeLinear",
        None,
        {"axis": 2, "block_size": 2},
        BOTH,
    ),
]


@pytest.mark.parametrize(
    ("op", "operands", "name", "onnx_operands", "attributes", "runtimes"),
    CASES,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_against_onnx(
    op: Op,
    operands: Operands,
    name: str,
    onnx_operands: Operands | None,
    attributes: dict[str, Any],
    runtimes: str,
) -> None:
    theirs = [
        None if x is None else np.asarray(x)
        for x in (operands if onnx_operands is None else onnx_operands)
    ]
    symbolic = name != "GatherND" and name != "ScatterND"
    for runtime, run in ((REFERENCE, by_reference), (RUNTIME, by_onnxruntime)):
        if runtimes in (BOTH, runtime):
            expected = tuple(run(name, theirs, len(op.results), attributes))
            check(op, *operands, expect=expected, rtol=2e-5, symbolic=symbolic)


@pytest.mark.parametrize(
    ("name", "op", "operands"),
    [
        ("Range", shp.Range(), (np.array(0.5), np.array(4.2), np.array(0.7))),
        ("Range", shp.Range(), (np.array(9), np.array(-2), np.array(-3))),
        ("NonZero", idx.NonZero(), (np.array([[1, 0], [2, 3]]),)),
        ("Compress", idx.Compress(), (np.array([[1, 0], [2, 3]]), np.array([True, False, True]))),
    ],
)
def test_ops_of_unknown_extent(name: str, op: Any, operands: Operands) -> None:
    mine = op.compute(*operands)
    for run in (by_reference, by_onnxruntime):
        (theirs,) = run(name, operands, 1, {})
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


LOOP = """<ir_version: 10, opset_import: ["": 21]>
net (int64 n, bool go, float[2] x) => (float[2] y, int64[k] i) {
  y, i = Loop (n, go, x) <body = b (int64 t, bool c, float[2] a) => (bool d, float[2] e, int64 u) {
    three = Constant <value = int64 {3}> ()
    d = Less (t, three)
    e = Add (a, a)
    u = Identity (t)
  }>
}"""


@pytest.mark.parametrize("trips", [0, 2, 9])
@pytest.mark.parametrize("go", [True, False])
def test_loop(trips: int, go: bool) -> None:
    body = Graph("body")
    t, _, a = (
        body.add_input(n, tensor_type(x))
        for n, x in zip("tca", ("i64[]", "bool[]", "f32[2]"), strict=True)
    )
    going = body.add(ari.Less(), t, body.add_constant(np.int64(3))).result
    body.set_outputs([going, body.add(ari.Add(), a, a).result, ("u", t)])
    operands = [np.array(trips), np.array(go), np.ones(2, np.float32)]
    mine = Loop(body=body, carried=1).compute(*operands, run=run_graph)
    proto = onnx.parser.parse_model(LOOP).SerializeToString()
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    theirs = session.run(None, dict(zip(("n", "go", "x"), operands, strict=True)))
    for p, q in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(p, q)
