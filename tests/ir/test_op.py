"""Declaring ops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from gie_core.ir.attribute import FrozenArray, FrozenMapping
from gie_core.ir.dims import Dim, symbol
from gie_core.ir.op import Op, Operand, OpError, OpRegistry
from gie_core.ir.types import Array, DType, TensorType


class Sample(Op, name="test.sample"):
    """One attribute of every kind."""

    count: int
    ratio: float = 0.5
    flag: bool = False
    label: str = "a"
    raw: bytes = b""
    to: DType = DType.F32
    extent: Dim = 1
    shape: tuple[Dim, ...] = ()
    steps: tuple[int, ...] | None = None
    table: FrozenArray | None = None
    extra: Mapping[str, Any] = FrozenMapping()

    def infer(self, x: TensorType, y: TensorType | None = None, *others: TensorType) -> TensorType:
        return x

    def compute(self, x: Array, *others: Array) -> Array:
        return x


def test_the_signature_of_infer_declares_the_operands() -> None:
    assert Sample.operand_specs() == (
        Operand("x"),
        Operand("y", optional=True),
        Operand("others", variadic=True),
    )


def test_attributes_take_their_canonical_form() -> None:
    op = Sample(
        count=np.int64(3),  # pyright: ignore[reportArgumentType] - NumPy scalars are converted
        ratio=2,
        shape=[symbol("n"), 2],  # pyright: ignore[reportArgumentType] - lists become tuples
        to=np.float16,  # pyright: ignore[reportArgumentType] - anything DType.of takes
        extra={"a": [1, 2], "b": np.ones(2)},
    )
    assert type(op.count) is int
    assert type(op.ratio) is float
    assert op.shape == (symbol("n"), 2)
    assert op.to is DType.F16
    assert op.extra["a"] == (1, 2)
    assert op == Sample(**op.attribute_values())
    assert hash(op) == hash(Sample(**op.attribute_values()))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"count": 1.5}, "'count' of test.sample: expected int, got 1.5"),
        ({"count": True}, "expected int, got True"),
        ({"count": 1, "flag": 1}, "expected bool, got 1"),
        ({"count": 1, "shape": "ab"}, "expected a list"),
        ({"count": 1, "steps": [1, "x"]}, "expected int, got 'x'"),
        ({"count": None}, "expected int, got None"),
    ],
)
def test_wrong_attributes_are_named(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        Sample(**attributes)


def test_only_attributes_that_differ_from_defaults_are_shown() -> None:
    assert Sample(count=1, label="b").changed_attributes() == {"count": 1, "label": "b"}


def test_symbols_are_resolved_to_numbers() -> None:
    n = symbol("n")
    op = Sample(count=1, extent=2 * n, shape=(n + 1, 3))
    assert op.symbols() == {"n"}
    resolved = op.resolve({"n": 4})
    assert (resolved.extent, resolved.shape) == (8, (5, 3))
    assert resolved.resolve({}) is resolved
    with pytest.raises(KeyError, match="n"):
        op.resolve({})


def test_arrays_compare_by_content() -> None:
    a, b = (Sample(count=1, table=FrozenArray(np.arange(3))) for _ in range(2))
    assert a == b
    assert a != Sample(count=1, table=FrozenArray(np.arange(4)))


class Plain(Sample, name="test.plain"):
    """No attribute of its own."""


def test_ops_without_attributes_of_their_own_take_their_base_s() -> None:
    assert Plain(count=1) == Plain(count=1) != Plain(count=2)
    assert Plain(count=1) != Sample(count=1)
    assert hash(Plain(count=1)) == hash(Plain(count=1))
    assert repr(Plain(count=1)).startswith("Plain(count=1, ratio=0.5")


@pytest.mark.parametrize("name", ["count", "cuont"])
@pytest.mark.parametrize("op", [Sample(count=1), Plain(count=1)])
def test_ops_do_not_change(op: Op, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(op, name, 2)


def test_an_attribute_cannot_hide_a_method() -> None:
    with pytest.raises(TypeError, match="cannot call an attribute 'symbols'"):

        class _Hiding(Op, name="test.hiding"):  # pyright: ignore[reportUnusedClass] - its definition is the test
            symbols: int = 0  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride] - that is the mistake


def test_an_unsupported_annotation_lists_the_supported_ones() -> None:
    class _Odd(Op, name="test.odd"):
        table: set[int]

    with pytest.raises(TypeError, match=r"cannot be an attribute; use bool, int"):
        _Odd(table={1})


def test_two_ops_of_one_name_clash() -> None:
    class Twin(Op, name="test.sample"):
        pass

    registry = OpRegistry([Sample])
    registry.add(Sample)
    with pytest.raises(OpError, match=r"two ops are called 'test.sample': .*Sample and .*Twin"):
        registry.add(Twin)
