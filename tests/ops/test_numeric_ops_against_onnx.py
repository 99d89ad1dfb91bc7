"""Convolutions, pools, products, norms, reductions and resize against ONNX's two runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType
from gie_core.ops import conv, linear, norm, pool, reduce
from gie_core.ops.resize import COORDINATES, NEAREST, Resize
from gie_core.testing.ops import check, draw

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx.reference")

OPSET = 22


Operands = Sequence[Array | None]


def model(name: str, operands: Operands, results: int, opset: int, attributes: Any) -> Any:
    """A model of one node."""
    helper = onnx.helper
    names = ["" if x is None else f"x{index}" for index, x in enumerate(operands)]
    outputs = [f"y{index}" for index in range(results)]
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, operands, strict=True)
        if x is not None
    ]
    graph = helper.make_graph(
        [helper.make_node(name, names, outputs, **attributes)],
        "one",
        inputs,
        [helper.make_empty_tensor_value_info(output) for output in outputs],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def by_onnxruntime(proto: Any, feeds: dict[str, Array]) -> list[Array]:
    # The types of outputs are left to inference.
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        onnx.shape_inference.infer_shapes(proto).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    return session.run(None, feeds)


def by_reference(proto: Any, feeds: dict[str, Array]) -> list[Array]:
    with np.errstate(all="ignore"):
        return onnx.reference.ReferenceEvaluator(proto).run(None, feeds)


def compare(
    op: Op,
    name: str,
    operands: Operands,
    attributes: Any,
    *,
    onnx_operands: Operands | None = None,
    opset: int = OPSET,
    runtimes: str = "both",
) -> None:
    """Check an op against an ONNX node of the same meaning."""
    onnx_operands = operands if onnx_operands is None else onnx_operands
    proto = model(name, onnx_operands, len(op.results), opset, attributes)
    feeds = {f"x{index}": x for index, x in enumerate(onnx_operands) if x is not None}
    if runtimes != "reference":
        check(op, *operands, expect=tuple(by_onnxruntime(proto, feeds)), rtol=2e-5)
    if runtimes != "onnxruntime":
        check(op, *operands, expect=tuple(by_reference(proto, feeds)), rtol=2e-5)


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], dict[str, Any]]] = [
    # x, weight, GIE's attributes, ONNX's
    ((1, 3, 9, 8), (4, 3, 3, 3), {}, {}),
    ((2, 3, 9), (4, 3, 3), {"strides": (2,), "pads": (1, 0)}, {"strides": [2], "pads": [1, 0]}),
    (
        (1, 4, 9, 8),
        (6, 2, 3, 2),
        {"groups": 2, "dilations": (2, 1), "pads": (1, 0, 2, 1)},
        {"group": 2, "dilations": [2, 1], "pads": [1, 0, 2, 1]},
    ),
    (
        (1, 2, 5, 6, 4),
        (3, 2, 2, 3, 2),
        {"strides": (2, 1, 1), "pads": (0, 1, 0, 1, 0, 0)},
        {"strides": [2, 1, 1], "pads": [0, 1, 0, 1, 0, 0]},
    ),
]


@pytest.mark.parametrize(("x_shape", "weight_shape", "attributes", "onnx_attributes"), CONVOLUTIONS)
def test_conv(x_shape: Any, weight_shape: Any, attributes: Any, onnx_attributes: Any) -> None:
    x, weight, bias = draw(*x_shape), draw(*weight_shape), draw(weight_shape[0])
    compare(conv.Conv(**attributes), "Conv", [x, weight, bias], onnx_attributes)
    x, weight = draw(*x_shape, dtype=DType.U8), draw(*weight_shape, dtype=DType.U8)
    points = [np.asarray(7, np.uint8), np.asarray(9, np.uint8)]
    # onnxruntime has no signed or 1-D form.
    compare(conv.ConvInteger(**attributes), "ConvInteger", [x, weight, *points], onnx_attributes)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "attributes", "onnx_attributes"),
    [
        ((1, 3, 4, 5), (3, 2, 3, 3), {}, {}),
        (
            (2, 4, 4, 5),
            (4, 3, 3, 2),
            {"groups": 2, "strides": (3, 2), "pads": (1, 0, 2, 1), "output_pads": (2, 1)},
            {"group": 2, "strides": [3, 2], "pads": [1, 0, 2, 1], "output_padding": [2, 1]},
        ),
        (
            (1, 2, 6),
            (2, 3, 3),
            {"dilations": (2,), "pads": (2, 1)},
            {"dilations": [2], "pads": [2, 1]},
        ),
    ],
)
def test_conv_transpose(
    x_shape: Any, weight_shape: Any, attributes: Any, onnx_attributes: Any
) -> None:
    op = conv.ConvTranspose(**attributes)
    operands = [draw(*x_shape), draw(*weight_shape), draw(weight_shape[1] * op.groups)]
    # onnx.reference cannot run groups here.
    runtimes = "onnxruntime" if op.groups > 1 else "both"
    compare(op, "ConvTranspose", operands, onnx_attributes, runtimes=runtimes)


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 2, 9), {"kernel": (3,), "strides": (2,)}),
    ((1, 2, 8, 9), {"kernel": (3, 2), "strides": (2, 2), "pads": (1, 0, 1, 1)}),
    ((1, 2, 8, 9), {"kernel": (3, 2), "strides": (2, 3), "pads": (1, 0, 1, 1), "ceil_mode": True}),
    ((1, 2, 8, 9), {"kernel": (3, 2), "dilations": (2, 3), "strides": (2, 2), "ceil_mode": True}),
    ((2, 2, 5, 6, 4), {"kernel": (2, 3, 2), "strides": (2, 2, 1), "pads": (0, 1, 1, 1, 0, 0)}),
]
pools = pytest.mark.parametrize(("shape", "attributes"), POOLS)


def onnx_pool(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    names = {"kernel": "kernel_shape"}
    return {
        names.get(k, k): int(v) if isinstance(v, bool) else list(v) for k, v in attributes.items()
    } | more


@pools
def test_max_pool(shape: Any, attributes: Any) -> None:
    compare(pool.MaxPool(**attributes), "MaxPool", [draw(*shape)], onnx_pool(attributes))


@pools
@pytest.mark.parametrize("order", [0, 1])
def test_max_pool_with_indices(shape: Any, attributes: Any, order: int) -> None:
    op = pool.MaxPoolWithIndices(**attributes, storage_order=order)
    x = draw(*shape)
    compare(op, "MaxPool", [x], onnx_pool(attributes, storage_order=order))


@pools
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_pool(shape: Any, attributes: Any, count_include_pad: bool) -> None:
    op = pool.AveragePool(**attributes, count_include_pad=count_include_pad)
    more = {"count_include_pad": int(count_include_pad)}
    compare(op, "AveragePool", [draw(*shape)], onnx_pool(attributes, **more))


@pools
@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(shape: Any, attributes: Any, p: int) -> None:
    op = pool.LpPool(**attributes, p=p)
    # onnx.reference does not cut windows at the end.
    runtimes = "onnxruntime" if op.ceil_mode else "both"
    compare(op, "LpPool", [draw(*shape)], onnx_pool(attributes, p=p), runtimes=runtimes)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_gemm(transpose_a: bool, transpose_b: bool) -> None:
    a = draw(4, 3) if transpose_a else draw(3, 4)
    b = draw(5, 4) if transpose_b else draw(4, 5)
    op = linear.Gemm(alpha=0.5, beta=2.0, transpose_a=transpose_a, transpose_b=transpose_b)
    flags = {"transA": int(transpose_a), "transB": int(transpose_b)}
    compare(op, "Gemm", [a, b, draw(5)], {"alpha": 0.5, "beta": 2.0, **flags})


def test_matmul_integer() -> None:
    a, b = draw(3, 4, dtype=DType.U8), draw(4, 5, dtype=DType.I8)
    points = [np.asarray(7, np.uint8), np.asarray([1, -2, 3, 4, 5], np.int8)]
    compare(linear.MatmulInteger(), "MatMulInteger", [a, b, *points], {})


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,jk", [(2, 3, 4), (4, 5)]),
        ("ba", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("bhwc,hkc->bhwk", [(2, 3, 2, 4), (3, 2, 4)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [draw(*shape) for shape in shapes]
    compare(linear.Einsum(equation=equation), "Einsum", operands, {"equation": equation})


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 4, 3, 6)])
def test_norms(shape: tuple[int, ...]) -> None:
    x, channels = draw(*shape), shape[1]
    scale, bias, mean = (draw(channels, seed=seed) for seed in (1, 2, 3))
    variance = np.abs(draw(channels, seed=4))
    epsilon = {"epsilon": 1e-3}
    batch = [x, scale, bias, mean, variance]
    compare(norm.BatchNorm(**epsilon), "BatchNormalization", batch, epsilon)
    compare(norm.InstanceNorm(**epsilon), "InstanceNormalization", batch[:3], epsilon)
    grouped = {"num_groups": 2, **epsilon}
    op = norm.GroupNorm(groups=2, **epsilon)
    compare(op, "GroupNormalization", batch[:3], grouped)
    last = [x, draw(shape[-1], seed=1), draw(shape[-1], seed=2)]
    attributes: dict[str, Any] = {"axis": len(shape) - 1, **epsilon}
    compare(norm.LayerNorm(**attributes), "LayerNormalization", last, attributes)
    compare(norm.RmsNorm(**attributes), "RMSNormalization", last[:2], attributes, opset=23)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn(size: int) -> None:
    attributes: dict[str, Any] = {"size": size, "alpha": 0.2, "beta": 0.6, "bias": 1.5}
    # onnx.reference takes the batch for the channels.
    compare(norm.Lrn(**attributes), "LRN", [draw(2, 7, 3, 4)], attributes, runtimes="onnxruntime")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmaxes(axis: int) -> None:
    x, attributes = draw(2, 7, 3), {"axis": axis}
    compare(norm.Softmax(axis=axis), "Softmax", [x], attributes)
    compare(norm.LogSoftmax(axis=axis), "LogSoftmax", [x], attributes)
    for p in (1, 2):
        op = norm.LpNormalize(axis=axis, p=p)
        # onnx.reference sums x, not |x|.
        runtimes = "onnxruntime" if p == 1 else "both"
        compare(op, "LpNormalization", [x], {"axis": axis, "p": p}, runtimes=runtimes)


REDUCTIONS: dict[str, type[reduce.Reduce]] = {
    "ReduceSum": reduce.ReduceSum,
    "ReduceMean": reduce.ReduceMean,
    "ReduceMax": reduce.ReduceMax,
    "ReduceMin": reduce.ReduceMin,
    "ReduceProd": reduce.ReduceProd,
    "ReduceL1": reduce.ReduceL1,
    "ReduceL2": reduce.ReduceL2,
    "ReduceLogSum": reduce.ReduceLogSum,
    "ReduceLogSumExp": reduce.ReduceLogSumExp,
    "ReduceSumSquare": reduce.ReduceSumSquare,
}


# For the logarithms of integers, ONNX leaves open what is rounded when.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, DType.F32) for name in REDUCTIONS),
        *((name, DType.I32) for name in REDUCTIONS if "Log" not in name),
    ],
)
@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_reductions(name: str, keep_dims: bool, axes: tuple[int, ...], dtype: DType) -> None:
    x = np.abs(draw(2, 3, 4)) if dtype is DType.F32 else (draw(2, 3, 4, dtype=dtype) % 3 + 1)
    op = REDUCTIONS[name](axes=axes, keep_dims=keep_dims)
    operands = [x.astype(dtype.numpy), np.array(axes)]
    compare(op, name, operands[:1], {"keepdims": int(keep_dims)}, onnx_operands=operands)


RESIZES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = [
    # x, sizes, scales
    ((1, 1, 4, 4), (1, 1, 8, 8), ()),
    ((1, 2, 4, 6), (1, 2, 2, 3), ()),
    ((1, 1, 6, 4), (1, 1, 4, 7), ()),
    ((1, 1, 3, 4), (1, 1, 6, 8), (1.0, 1.0, 2.0, 2.0)),
]


def compare_resize(x: Array, op: Resize, runtimes: str = "both") -> None:
    scales = np.array(op.scales, np.float32) if op.scales else None
    sizes = None if op.scales else np.array(op.sizes)
    roi = np.array(op.roi, np.float32) if op.roi else None
    attributes: dict[str, Any] = {
        "mode": op.mode,
        "coordinate_transformation_mode": op.coordinates,
        "nearest_mode": op.nearest,
        "cubic_coeff_a": op.cubic_coefficient,
        "exclude_outside": int(op.exclude_outside),
        "antialias": int(op.antialias),
        "extrapolation_value": op.extrapolation,
    }
    operands: Operands = [x, roi, scales, sizes]
    compare(op, "Resize", [x], attributes, onnx_operands=operands, runtimes=runtimes)


@pytest.mark.parametrize(("shape", "sizes", "scales"), RESIZES)
@pytest.mark.parametrize("coordinates", [c for c in COORDINATES if not c.startswith("tf_")])
@pytest.mark.parametrize(
    ("mode", "nearest"), [*(("nearest", n) for n in NEAREST), ("linear", ""), ("cubic", "")]
)
def test_resize(
    shape: Any, sizes: Any, scales: Any, coordinates: str, mode: str, nearest: str
) -> None:
    op = Resize(
        sizes=sizes,
        scales=scales,
        mode=mode,
        coordinates=coordinates,
        nearest=nearest or "round_prefer_floor",
    )
    compare_resize(draw(*shape), op)


@pytest.mark.parametrize("coordinates", [c for c in COORDINATES if not c.startswith("tf_")])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_resize_by_scales_that_leave_a_rest(coordinates: str, mode: str) -> None:
    """7 · 0.6 = 4.2 → 4. For "align_corners", onnxruntime forgets the rest."""
    scales = tuple(float(np.float32(s)) for s in (1.0, 1.0, 0.6, 0.7))
    op = Resize(sizes=(1, 1, 4, 3), scales=scales, mode=mode, coordinates=coordinates)
    runtimes = "reference" if coordinates == "align_corners" else "both"
    compare_resize(draw(1, 1, 7, 5), op, runtimes)


# onnxruntime takes exclude_outside for "cubic" only.
@pytest.mark.parametrize(
    ("mode", "exclude_outside"), [("linear", False), ("cubic", False), ("cubic", True)]
)
@pytest.mark.parametrize("antialias", [False, True])
def test_resize_with_other_kernels(mode: str, exclude_outside: bool, antialias: bool) -> None:
    op = Resize(sizes=(1, 1, 3, 4), mode=mode, exclude_outside=exclude_outside, antialias=antialias)
    compare_resize(draw(1, 1, 8, 9), op)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_crop_and_resize(mode: str) -> None:
    op = Resize(
        sizes=(1, 1, 3, 4),
        mode=mode,
        coordinates="tf_crop_and_resize",
        roi=(0, 0, 0.2, -0.3, 1, 1, 0.7, 1.2),
        extrapolation=7.0,
    )
    compare_resize(draw(1, 1, 5, 6), op)
