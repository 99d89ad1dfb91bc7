"""The harness for kernel providers finds each kind of wrong kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.builder.kernels import Kernel, Support
from gie_core.errors import GieError
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.runtime.target import Target
from gie_core.testing.kernels import check_node, check_unsupported, relative_error

INPUTS = {"x": "f32[4, 6]"}


class Provider:
    """Runs every node by one function of its first operand."""

    def __init__(self, function: Callable[[Array], Array], support: Support) -> None:
        self.function = function
        self.support = support

    def supports(self, node: Node, target: Target) -> Support:
        return self.support

    def kernel(self, node: Node, target: Target) -> Kernel:
        def run(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
            return (self.function(operands[0]),)

        return run


def check(
    function: Callable[[Array], Array], support: Support | None = None, **options: Any
) -> None:
    check_node(Provider(function, support or Support.yes()), "relu(%x)", INPUTS, **options)


def relu(x: Array) -> Array:
    return np.maximum(x, 0) + np.float32(0)


def writes(x: Array) -> Array:
    np.maximum(x, 0, out=x)
    return x


def forgets_an_element(x: Array) -> Array:
    y = np.empty_like(x)
    y[1:] = relu(x)[1:]
    return y


def reads_memory_in_order(x: Array) -> Array:
    return relu(x.ravel(order="K").reshape(x.shape))


class Hoards:
    """Hands out the same memory each time."""

    def __init__(self) -> None:
        self.memory = np.zeros((4, 6), np.float32)

    def __call__(self, x: Array) -> Array:
        self.memory[...] = relu(x)
        return self.memory


@pytest.mark.parametrize("exact", [False, True])
def test_right_kernel(exact: bool) -> None:
    check(relu, exact=exact)


WRONG: list[tuple[Callable[[Array], Array], str]] = [
    (lambda x: -x, "has relative error"),
    (lambda x: relu(x) * np.float32(1 + 1e-5), "has relative error"),
    (lambda x: relu(x)[:, :3], r"%result is f32\[4, 6\]"),
    (lambda x: relu(x).astype(np.float64), "but got an array of float64"),
    (writes, "read-only"),
    (forgets_an_element, "relative error nan"),
    (reads_memory_in_order, "Fortran operands"),
    (Hoards(), "a later run changed this answer"),
]


@pytest.mark.parametrize(("function", "message"), WRONG)
def test_wrong_kernel(function: Callable[[Array], Array], message: str) -> None:
    with pytest.raises((AssertionError, GieError, ValueError), match=message):
        check(function)


def test_exact_sees_the_last_bit() -> None:
    def nearly(x: Array) -> Array:
        return np.nextafter(relu(x), np.float32(9))

    check(nearly)
    with pytest.raises(AssertionError):
        check(nearly, exact=True)


def test_unsupported_node() -> None:
    support = Support.no("it is Monday")
    with pytest.raises(AssertionError, match="is not supported: it is Monday"):
        check(relu, support)
    provider = Provider(relu, support)
    check_unsupported(provider, "relu(%x)", INPUTS, match="Monday")
    with pytest.raises(AssertionError, match="the reason is"):
        check_unsupported(provider, "relu(%x)", INPUTS, match="Tuesday")
    with pytest.raises(AssertionError, match="is supported"):
        check_unsupported(Provider(relu, Support.yes()), "relu(%x)", INPUTS, match="")


def test_relative_error() -> None:
    assert relative_error(np.array([3.0, 4.0]), np.array([3.0, 5.0])) == 1 / np.sqrt(34)
    assert relative_error(np.array([1.0, 9.0]), np.array([1.0, np.inf])) == 0
    assert relative_error(np.array([0.5]), np.array([0.0])) == 0.5
