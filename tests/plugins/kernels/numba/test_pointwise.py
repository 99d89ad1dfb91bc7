"""Pointwise and elementwise nodes, however their operands lie and broadcast."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ir.types import Array
from gie_core.testing.kernels import check_node, check_unsupported
from gie_kernels_numba import provider
from gie_kernels_numba.pointwise import collapse
from gie_kernels_numba.provider import NumbaProvider

PROVIDER = NumbaProvider()
IMAGE = "f32[2, 3, 4, 5]"
X = "x[n,c,h,w]: f32"

# program, types of the operands, of which the last are constant
PROGRAMS = [
    (f"({X}) -> max(x, 0.0)", [IMAGE], 0),
    (f"({X}, r[n,c,h,w]: f32) -> min(max(x + r, 0.0), 6.0)", [IMAGE, IMAGE], 0),
    (f"({X}, s[c]: f32, b[]: f32) -> x * s + b", [IMAGE, "f32[3]", "f32[]"], 1),
    (f"({X}, s[n,c]: f32) -> x * s", [IMAGE, "f32[2, 3]"], 0),
    (f"({X}, s[n,c,1,1]: f32) -> x * s", [IMAGE, "f32[2, 3, 1, 1]"], 1),
    (f"({X}, r[w,h]: f32) -> select(x > r, x, r)", [IMAGE, "f32[5, 4]"], 0),
    ("(x[n,c]: f32, y[c,n]: f32) -> x * y + x", ["f32[4, 3]", "f32[3, 4]"], 0),
    ("(x[n,c]: f32) over [c,n] -> x - 1.0", ["f32[4, 3]"], 0),
    (f"({X}) -> x * min(max(x / 6.0 + 0.5, 0.0), 1.0)", [IMAGE], 0),
]


@pytest.mark.parametrize(("program", "types", "constant"), PROGRAMS, ids=[p for p, *_ in PROGRAMS])
def test_program_gives_the_same_bits(program: str, types: list[str], constant: int) -> None:
    operands = {f"x{n}": type_ for n, type_ in enumerate(types)}
    names = list(operands)
    inputs = {name: operands[name] for name in names[: len(names) - constant]}
    check_node(
        PROVIDER,
        f"pointwise({', '.join(f'%{name}' for name in names)}) {{program = `{program}`}}",
        inputs,
        {name: operands[name] for name in names if name not in inputs},
        exact=True,
    )


@pytest.mark.parametrize(
    ("call", "types"),
    [
        ("sigmoid(%x)", {"x": "f32[3, 70]"}),
        ("hard_swish(%x)", {"x": "f32[1, 2, 3, 4]"}),
        ("add(%x, %y)", {"x": "f32[3, 1, 5]", "y": "f32[4, 1]"}),
        ("add(%x, %y)", {"x": "f32[2, 3, 4, 4]", "y": "f32[3, 1, 1]"}),
        ("relu(%x)", {"x": "f32[]"}),
        ("relu(%x)", {"x": "f32[0, 5]"}),
        ("tanh(%x)", {"x": "f32[2, 3, 4, 5, 6]"}),
    ],
)
def test_elementwise(call: str, types: dict[str, str]) -> None:
    check_node(PROVIDER, call, types)


@pytest.mark.parametrize(
    ("call", "types", "reason"),
    [
        ("relu(%x)", {"x": "f16[3]"}, "is f16, not f32"),
        ("greater(%x, %x)", {"x": "f32[3]"}, "is bool, not f32"),
        ("erf(%x)", {"x": "f32[3]"}, "erf has no vector code"),
        ("matmul(%x, %x)", {"x": "f32[3, 3]"}, "matmul is not computed element by element"),
        ("relu(%x)", {"x": "f32[n]"}, "shape of %x is not known"),
    ],
)
def test_refuses(call: str, types: dict[str, str], reason: str) -> None:
    check_unsupported(PROVIDER, call, types, match=reason)


def test_small_nodes_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "SMALLEST", 16)
    check_unsupported(PROVIDER, "relu(%x)", {"x": "f32[3, 5]"}, match="too small")
    check_node(PROVIDER, "relu(%x)", {"x": "f32[4, 4]"})


ARRAY = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("arrays", "shape"),
    [
        ([ARRAY, ARRAY], (120,)),
        ([ARRAY[..., :3], ARRAY[..., :3]], (24, 3)),
        ([ARRAY, np.broadcast_to(ARRAY[:1, :, :1, :1], ARRAY.shape)], (2, 3, 20)),
        ([ARRAY[:1, :1, :1, :1]], (1,)),
        ([ARRAY[:0]], (0,)),
    ],
    ids=["dense", "pitched", "per channel", "one element", "empty"],
)
def test_collapse_merges_what_every_array_allows(
    arrays: list[Array], shape: tuple[int, ...]
) -> None:
    found = collapse(arrays)
    assert [each.shape for each in found] == [shape] * len(arrays)
    for each, array in zip(found, arrays, strict=True):
        assert np.array_equal(each.reshape(-1), array.reshape(-1))
