"""Compiled pointwise programs give the interpreter's bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.expr import Param, Program
from gie_core.ir.expr_numpy import arrange, evaluate_program
from gie_core.ir.expr_text import parse_program
from gie_core.ir.types import Array, DType
from gie_core.testing.expressions import programs
from gie_core.testing.inputs import random_array
from gie_core.testing.kernels import (
    LAYOUTS,
    check_graph,
    check_node,
    poisoned_memory,
)
from gie_kernels_cpu import program as program_module
from gie_kernels_cpu.program import CompiledProgram
from gie_kernels_cpu.provider import CpuProvider

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]
BLOCKS = pytest.mark.parametrize("block", [program_module.BLOCK, 7], ids=["at once", "in blocks"])


def operands(program: Program, rng: np.random.Generator) -> list[Array]:
    """Random operands with every special value, in any memory layout, read-only."""
    extents = {axis: int(rng.integers(0 if rng.random() < 0.05 else 1, 6)) for axis in program.axes}
    found: list[Array] = []
    for param in program.params:
        shape = tuple(1 if isinstance(axis, int) else extents[axis] for axis in param.index)
        array = random_array(param.dtype, shape, rng)
        if param.dtype.is_float:
            with np.errstate(all="ignore"):
                special = rng.choice(SPECIAL, shape).astype(param.dtype.numpy)
            array = np.where(rng.random(shape) < 0.4, special, array)
        layout = str(rng.choice(list(LAYOUTS)))
        array = LAYOUTS[layout](np.asarray(array))
        array.flags.writeable = False
        found.append(array)
    return found


def run(program: Program, arrays: list[Array], outs: list[Array]) -> None:
    """Compile a program for these arrays and run it, in poisoned memory."""
    params = [Param(p.name, p.dtype) for p in program.params]
    pieces = [(array.shape, array.dtype) for array in arrays]
    compiled = CompiledProgram(params, program.results, pieces)
    workspace = np.full(compiled.workspace, 0xFF, np.uint8)
    launch = compiled.bind(arrays, outs, workspace)
    with np.errstate(all="ignore"), poisoned_memory():
        launch()


def arranged(program: Program, arrays: list[Array]) -> list[Array]:
    pairs = zip(arrays, program.params, strict=True)
    return [np.asarray(arrange(array, param.index, program.axes)) for array, param in pairs]


def assert_same_bits(answer: Array, right: Array, text: str) -> None:
    assert answer.dtype == right.dtype
    assert answer.shape == right.shape
    if DType.of(answer.dtype).is_float:
        wide, exact = answer.astype(np.float64), right.astype(np.float64)
        number = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(wide[number]), np.signbit(exact[number]), text)
        answer, right = wide, exact
    np.testing.assert_array_equal(answer, right, text)


@BLOCKS
@given(program=programs(), seed=st.integers(0, 2**32))
def test_random_programs(block: int, program: Program, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = operands(program, rng)
    wanted = evaluate_program(program, arrays)
    axes = rng.permutation(len(program.axes))
    answers = [np.empty(right.transpose(axes).shape, right.dtype) for right in wanted]
    answers = [answer.transpose(np.argsort(axes)) for answer in answers]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(program_module, "BLOCK", block)
        run(program, arranged(program, arrays), answers)
    for answer, right in zip(answers, wanted, strict=True):
        assert_same_bits(answer, right, str(program))


# In place: the result lands in the first operand.
@pytest.mark.parametrize(
    "text",
    [
        "(x[n,c]: f32) -> max(x, 0.0)",
        "(x[n,c]: f32) -> max(0.0, x)",
        "(x[n,c]: f32) -> min(max(x, -0.0), 6.0)",
        "(x[n,c]: f32, y[c]: f32) -> max(x + y, 0.0)",
        "(x[n,c]: f32, y[n,c]: f32) -> x * y + x",
        "(x[n,c]: f32, y[n,1]: f32) -> select(x < y, x, y)",
        "(x[n,c]: f32, y[n,c]: f32) -> select(x < y, y, x)",
        "(x[n,c]: f32) -> select(x < 0.0, x * 2.0, x + 1.0)",
        "(x[n,c]: f32) -> select(x < 0.0, x + 1.0, x)",
        "(x[n,c]: f32) -> x / (exp(-x) + 1.0)",
        "(x[n,c]: f32, y[c]: f32) -> max(x, y)",
        "(x[n,c]: i32, y[c]: i32) -> max(x // (abs(y) + 1), 0)",
        "(x[n,c]: f16, y[c]: f16) -> x * y + x",
        "(x[n,c]: f32) -> f32(2.5)",
        "(x[n,c]: f32) -> x",
        "(x[n,c]: bool, y[n,c]: bool) -> select(x, y, x)",
    ],
)
@BLOCKS
def test_in_place(text: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "BLOCK", block)
    program = parse_program(text)
    for seed in range(4):
        arrays = operands(program, np.random.default_rng(seed))
        (right,) = evaluate_program(program, arrays)
        first, *rest = arranged(program, arrays)
        target = np.array(first)
        run(program, [target, *rest], [target])
        assert_same_bits(target, right, text)


# call, inputs
ELEMENTWISE: list[tuple[str, dict[str, str]]] = [
    ("relu(%x)", {"x": "f32[n, 3]"}),
    ("add(%x, %y)", {"x": "f32[n, 3, 1]", "y": "f32[4]"}),
    ("add(%x, %y)", {"x": "i32[]", "y": "i32[]"}),
    ("sub(%x, %y)", {"x": "u8[2, 3]", "y": "u8[3]"}),
    ("add(%x, %y)", {"x": "f32[2, 3, 4, 5]", "y": "f32[2, 3, 4, 5]"}),
    ("add(%x, %y)", {"x": "f32[2, 3, 4, 5]", "y": "f32[3, 1, 1]"}),
    ("add(%x, %y)", {"x": "f32[2, 3]", "y": "f32[]"}),
    ("cast(%x) {to = f32}", {"x": "i4[2, 3, 4, 5]"}),
    ("clip(%x, %low)", {"x": "f16[n, 3]", "low": "f16[]"}),
    ("clip(%x, _, %high)", {"x": "f32[n, 3]", "high": "f32[]"}),
    ("where(%c, %x, %y)", {"c": "bool[3, 1]", "x": "i64[4]", "y": "i64[3, 4]"}),
    ("cast(%x) {to = i8}", {"x": "f32[n, 3]"}),
    ("equal(%x, %y)", {"x": "bool[0, 3]", "y": "bool[3]"}),
    ("not(%x)", {"x": "bool[5]"}),
    ("gelu(%x)", {"x": "f32[n, 3]"}),
    ("hard_swish(%x)", {"x": "bf16[n, 3]"}),
]


@pytest.mark.parametrize(("call", "inputs"), ELEMENTWISE)
def test_elementwise(call: str, inputs: dict[str, str]) -> None:
    check_node(CpuProvider(), call, inputs, exact=True)


def test_powers_of_reversed_operands_have_other_bits() -> None:
    check_node(CpuProvider(), "pow(%x, %y)", {"x": "f32[2, 3]", "y": "i32[3]"})


@pytest.mark.parametrize("constant", ["f32[]", "f32[1]", "f32[3]", "f32[1, 1, 1]"])
@pytest.mark.parametrize("call", ["max(%x, %c)", "min(%c, %x)", "div(%c, %x)"])
def test_constant_operands(call: str, constant: str) -> None:
    check_node(CpuProvider(), call, {"x": "f32[n, 3]"}, {"c": constant}, exact=True)


def test_pointwise_node() -> None:
    call = "pointwise(%x, %y) {program = `(x[a,b]: f32, y[b,1]: f32) -> (max(x + y, 0.0), x * y)`}"
    text = f"graph main {{ input %x: f32[n, 3] input %y: f32[3, 1] %p, %q = {call} return %p, %q }}"
    check_graph(CpuProvider(), text, exact=True)


def test_nothing_but_constants() -> None:
    check_node(CpuProvider(), "add(%a, %b)", {}, {"a": "f32[]", "b": "f32[]"}, exact=True)
