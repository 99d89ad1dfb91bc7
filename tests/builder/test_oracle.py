"""Right answers come from double precision, for operands as they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import signal, special

from gie_core.builder.oracle import Oracle
from gie_core.ir.graph import Node
from gie_core.ir.op import Op, OpRegistry, Trait
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.format import Layout
from gie_core.ops import core_ops
from gie_core.ops.run import ExecutionError
from gie_core.testing.kernels import graph_text
from gie_core.testing.passes import parse_with_blobs


class Fussy(Op, name="acme.fussy"):
    """x, but only where all elements are positive."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def compute(self, x: Array) -> Array:
        if (x <= 0).any():
            raise ValueError("not positive")
        return x


class Noise(Op, name="acme.noise", traits=[Trait.IMPURE]):
    """x with noise."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def compute(self, x: Array) -> Array:
        return x


OPS = OpRegistry([*core_ops().values(), Fussy, Noise])


def only(call: str, inputs: dict[str, str], constants: dict[str, str] | None = None) -> Node:
    (node,) = parse_with_blobs(graph_text(call, inputs, constants), OPS).nodes
    return node


def dense(node: Node, dtype: DType | None = None) -> list[Layout | None]:
    layouts: list[Layout | None] = []
    for value in node.operands:
        assert value is not None
        stored = np.empty(
            [int(str(d)) for d in value.tensor.dims], (dtype or value.tensor.dtype).numpy
        )
        layout = Layout(dtype or value.tensor.dtype, stored.shape, stored.strides)
        layouts.append(layout if value.data is None else None)
    return layouts


def arrays(operands: Sequence[Array | None]) -> list[Array]:
    return [array for array in operands if array is not None]


def test_a_convolution_in_double() -> None:
    node = only("conv(%x, %w)", {"x": "f32[1, 1, 9, 9]"}, {"w": "f32[1, 1, 3, 3]"})
    case = Oracle(node).case(dense(node))
    x, w = (array.astype(np.float64)[0, 0] for array in arrays(case.operands))
    right = signal.correlate2d(x, w, "valid").astype(np.float32)  # pyright: ignore[reportUnknownMemberType] - SciPy is untyped
    np.testing.assert_array_equal(case.answers[0][0, 0], right)


def test_a_pointwise_program_in_double() -> None:
    node = only("pointwise(%x) {program = `(x[n]: f32) -> erf(x)`}", {"x": "f32[64]"})
    case = Oracle(node).case(dense(node))
    (x,) = arrays(case.operands)
    right = special.erf(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(case.answers[0], right)


def test_the_answer_of_doubles_is_double() -> None:
    node = only("exp(%x)", {"x": "f64[64]"})
    assert Oracle(node).case(dense(node)).answers[0].dtype == np.float64


def test_operands_are_what_their_storage_can_hold() -> None:
    node = only("exp(%x)", {"x": "f32[64, 3]"})
    oracle = Oracle(node)
    (plain,), (half,) = (
        arrays(oracle.case(dense(node, dtype)).operands) for dtype in (DType.F32, DType.F16)
    )
    assert half.dtype == plain.dtype == np.float32
    np.testing.assert_array_equal(half, plain.astype(np.float16))
    assert (half != plain).any()
    (still,) = arrays(oracle.case([Layout(DType.F32, (64, 3), (0, 4))]).operands)
    np.testing.assert_array_equal(still, np.broadcast_to(plain[:1], (64, 3)))


def test_constants_and_repeated_operands_are_what_they_are() -> None:
    node = only("add(%x, %w)", {"x": "f32[9]"}, {"w": "f32[9]"})
    assert node.operands[1] is not None
    assert Oracle(node).case(dense(node)).operands[1] is node.operands[1].data
    node = only("add(%x, %x)", {"x": "f32[9]"})
    first, second = Oracle(node).case(dense(node)).operands
    assert first is second


def test_cases_are_computed_once_and_seeded() -> None:
    node = only("add(%x, %z)", {"x": "f32[9]", "z": "f32[9]"})
    oracle = Oracle(node, seed=1)
    assert oracle.case(dense(node)) is oracle.case(dense(node))
    first, second = arrays(oracle.case(dense(node)).operands)
    assert (first != second).all()
    np.testing.assert_array_equal(first, Oracle(node, 1).case(dense(node)).operands[0])
    assert (first != Oracle(node, 2).case(dense(node)).operands[0]).all()


def test_integers_shrink_until_the_reference_takes_them() -> None:
    call = "gather(%x, %i) {axis = 0}"
    for rows, largest in ((100, 8), (2, 1), (1, 0)):
        node = only(call, {"x": f"f32[{rows}, 4]", "i": "i64[50]"})
        indices = Oracle(node).case(dense(node)).operands[1]
        assert indices is not None
        assert indices.max() == largest


def test_what_nothing_fits_fails() -> None:
    node = only("acme.fussy(%x)", {"x": "f32[50]"})
    with pytest.raises(ExecutionError, match=r"acme\.fussy failed at %result: ValueError: not"):
        Oracle(node).case(dense(node))


def test_what_cannot_be_widened_runs_as_it_is() -> None:
    node = only("cast(%x) {to = f16}", {"x": "f32[50]"})
    oracle = Oracle(node)
    x, y = oracle.case(dense(node)).operands[0], oracle.case(dense(node)).answers[0]
    assert x is not None
    np.testing.assert_allclose(y, x, rtol=1e-3)


def test_overflow_of_the_own_type_is_right() -> None:
    node = only("pointwise(%x) {program = `(x[n]: f16) -> x * 60000.0`}", {"x": "f16[50]"})
    x, y = Oracle(node).case(dense(node)).operands[0], Oracle(node).case(dense(node)).answers[0]
    assert x is not None
    np.testing.assert_array_equal(np.isinf(y), np.abs(x.astype(np.float64) * 60000) > 65504)
    assert 5 < np.isinf(y).sum() < 45


def test_own_rounding_is_large_where_the_problem_is_ill_posed() -> None:
    good = only("exp(%x)", {"x": "f32[500]"})
    bad = only(
        "pointwise(%x) {program = `(x[n]: f32) -> (x + 10000.0) - 10000.0`}", {"x": "f32[500]"}
    )
    assert Oracle(good).own_miss(dense(good)) < 1e-6
    assert Oracle(bad).own_miss(dense(bad)) > 1e-5


def test_random_nodes_have_no_right_answer() -> None:
    assert Oracle(only("acme.noise(%x)", {"x": "f32[5]"})).is_random
    assert not Oracle(only("exp(%x)", {"x": "f32[5]"})).is_random
