"""Reshape, squeeze, expand, slice, split, pad and kin, over the opsets in which they changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from gie_importer_onnx.testing import Constant, check_node

RNG = np.random.default_rng(2)
INT_MAX, INT_MIN = (1 << 63) - 1, -(1 << 63)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Constant:
    return Constant(np.array(values, np.int64))


@pytest.mark.parametrize("target", [(6, 4), (2, -1), (0, -1), (-1,), (0, 0, 2, 2), (4, 0, -1)])
@pytest.mark.parametrize("opset", [7, 14])
def test_reshape(target: tuple[int, ...], opset: int) -> None:
    check_node("Reshape", f32(2, 3, 4), ints(*target), opset=opset)


def test_reshape_that_means_zero() -> None:
    check_node("Reshape", f32(0, 3), ints(3, 0), opset=14, symbolic=False, allowzero=1)


def test_a_computed_shape_is_foreign() -> None:
    check_node("Reshape", f32(2, 6), np.array([3, 4]), opset=13, native=False, symbolic=False)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("opset", [7, 11])
def test_flatten(axis: int, opset: int) -> None:
    check_node("Flatten", f32(2, 3, 4), opset=opset, axis=axis)


@pytest.mark.parametrize("axes", [[0], [2, 0], [-2]])
def test_squeeze(axes: list[int]) -> None:
    check_node("Squeeze", f32(1, 3, 1, 4), opset=11, axes=axes)
    check_node("Squeeze", f32(1, 3, 1, 4), ints(*axes), opset=13)


@pytest.mark.parametrize("opset", [7, 13])
def test_squeeze_everything(opset: int) -> None:
    check_node("Squeeze", f32(1, 3, 1), opset=opset, symbolic=False)


@pytest.mark.parametrize("axes", [[0], [1, 3], [-1]])
def test_unsqueeze(axes: list[int]) -> None:
    check_node("Unsqueeze", f32(2, 3), opset=11, axes=axes)
    check_node("Unsqueeze", f32(2, 3), ints(*axes), opset=13)


@pytest.mark.parametrize("shape", [(2, 3), (5, 2, 3), (1, 1), (3,)])
def test_expand(shape: tuple[int, ...]) -> None:
    check_node("Expand", f32(2, 1), ints(*shape), opset=8, symbolic=False)


@pytest.mark.parametrize(
    "cut", [{}, {"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1}]
)
def test_shape(cut: dict[str, Any]) -> None:
    check_node("Shape", f32(2, 3, 4), opset=15, **cut)


def test_size() -> None:
    check_node("Size", f32(2, 3, 4), opset=13)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        (0, 3, 1),
        (1, INT_MAX, 2),
        (-3, -1, 1),
        (-9, 9, 1),
        (4, 0, -2),
        (-1, INT_MIN, -1),
        (9, -9, -3),
        (3, 1, 1),
    ],
)
@pytest.mark.parametrize("axis", [0, -1])
def test_slice(start: int, end: int, step: int, axis: int) -> None:
    check_node("Slice", f32(5, 5), ints(start), ints(end), ints(axis), ints(step), opset=10)


def test_slice_of_all_axes() -> None:
    check_node("Slice", f32(4, 5), ints(1, 2), ints(3, 4), opset=13)


def test_slice_by_attributes() -> None:
    check_node("Slice", f32(4, 5), opset=9, starts=[1, -3], ends=[9, -1], axes=[0, 1])
    check_node("Slice", f32(4, 5), opset=9, starts=[1], ends=[3])


def test_split() -> None:
    check_node("Split", f32(2, 7), opset=11, outputs=2, axis=1, split=[3, 4])
    check_node("Split", f32(2, 6), opset=11, outputs=3, axis=-1, symbolic=False)
    check_node("Split", f32(2, 7), ints(3, 4), opset=13, outputs=2, axis=1)
    check_node("Split", f32(2, 7), opset=18, outputs=3, axis=1, num_outputs=3)


def test_concat() -> None:
    check_node("Concat", f32(2, 3), f32(2, 1), f32(2, 4), opset=7, axis=1, symbolic=False)
    check_node("Concat", f32(2, 3), f32(5, 3), opset=11, axis=-2, symbolic=False)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad_by_attributes(mode: str) -> None:
    check_node("Pad", f32(3, 4), opset=9, mode=mode, pads=[1, 0, 2, 1])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad_by_operands(mode: str) -> None:
    check_node("Pad", f32(3, 4), ints(1, 0, 2, 1), opset=19, mode=mode)


def test_pad_with_a_value_along_chosen_axes() -> None:
    value = Constant(np.float32(7))
    check_node("Pad", f32(3, 4), ints(-1, 2), value, ints(-1), opset=18)
    check_node("Pad", f32(3, 4), opset=9, pads=[0, 1, 0, 0], value=2.5)


@pytest.mark.parametrize("opset", [7, 13])
def test_tile(opset: int) -> None:
    check_node("Tile", f32(2, 3), ints(2, 3), opset=opset)


@pytest.mark.parametrize("order", [None, [1, 0, 2], [2, 0, 1]])
def test_transpose(order: list[int] | None) -> None:
    attributes: dict[str, Any] = {} if order is None else {"perm": order}
    check_node("Transpose", f32(2, 3, 4), opset=7, **attributes)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    check_node("DepthToSpace", f32(1, 8, 2, 3), opset=11, blocksize=2, mode=mode)


def test_space_to_depth() -> None:
    check_node("SpaceToDepth", f32(1, 2, 4, 6), opset=13, blocksize=2)


@pytest.mark.parametrize(("upper", "k"), [(1, 0), (0, 0), (1, -1), (0, 2)])
def test_trilu(upper: int, k: int) -> None:
    check_node("Trilu", f32(2, 3, 4), Constant(np.int64(k)), opset=14, upper=upper)


def test_constant_of_shape() -> None:
    check_node("ConstantOfShape", ints(2, 3), opset=9)
    value = helper.make_tensor("value", TensorProto.INT32, [1], [7])
    check_node("ConstantOfShape", ints(2, 3), opset=9, value=value)


@pytest.mark.parametrize(
    "attribute",
    [
        {"value_int": 3},
        {"value_ints": [1, 2]},
        {"value_float": 0.5},
        {"value_floats": [0.5, 1.5]},
        {"value": helper.make_tensor("t", TensorProto.DOUBLE, [2], [1.0, 2.0])},
    ],
)
def test_constant(attribute: dict[str, Any]) -> None:
    check_node("Constant", opset=13, **attribute)


@pytest.mark.parametrize(("start", "limit", "delta"), [(0, 5, 1), (7, 1, -2), (3, 3, 1)])
def test_range(start: int, limit: int, delta: int) -> None:
    numbers = [np.asarray(v, np.int64) for v in (start, limit, delta)]
    check_node("Range", *numbers, opset=11)
    check_node("Range", *map(Constant, numbers), opset=11)


def test_range_of_floats() -> None:
    numbers = [np.asarray(v, np.float32) for v in (0.5, 4, 0.75)]
    check_node("Range", *numbers, opset=11)
    check_node("Range", *map(Constant, numbers), opset=11)


def test_eye_like() -> None:
    check_node("EyeLike", f32(3, 4), opset=9, symbolic=False, k=1, dtype=TensorProto.INT64)
