"""The registry of core ops, and what every op must declare."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import gie_core.ops
from gie_core.ir.op import Op, OpError, OpRegistry, Trait
from gie_core.ops import FAMILIES, core_ops, ops_of
from gie_core.ops.arithmetic import Add
from gie_core.ops.elementwise import Elementwise

OPS = sorted(core_ops().values(), key=lambda op: op.name)

# The families that this table names hold exactly these ops.
EXPECTED = {
    "arithmetic": """abs acos acosh add and asin asinh atan atanh bitwise_and bitwise_not bitwise_or
        bitwise_xor cast ceil clip cos cosh div equal erf exp floor greater greater_equal is_inf
        is_nan less less_equal log max min mod mul neg not or pow reciprocal round shift_left
        shift_right sign sin sinh sqrt sub tan where xor""",
    "activation": """celu elu gelu hard_sigmoid hard_swish leaky_relu mish prelu relu selu shrink
        sigmoid silu softplus softsign tanh thresholded_relu""",
    "shape": """concat depth_to_space expand pad range reshape shape_of slice space_to_depth split
        tile transpose trilu""",
    "index": """arg_max arg_min compress cumsum gather gather_elements gather_nd nonzero one_hot
        reverse_sequence scatter_elements scatter_nd top_k""",
    "quantize": "dequantize quantize",
    "control": "if loop",
    "identity": "dropout identity",
    "conv": "conv conv_integer conv_transpose",
    "pool": "average_pool lp_pool max_pool max_pool_with_indices",
    "linear": "einsum gemm matmul matmul_integer",
}


@pytest.mark.parametrize("family", EXPECTED)
def test_family_holds_its_ops(family: str) -> None:
    module = importlib.import_module(f"gie_core.ops.{family}")
    assert sorted(op.name for op in ops_of(module)) == EXPECTED[family].split()


def test_every_module_that_defines_ops_is_a_family() -> None:
    root = gie_core.ops.__path__[0]
    modules = {info.name for info in pkgutil.iter_modules([root])}
    holding = {m for m in modules if ops_of(importlib.import_module(f"gie_core.ops.{m}"))}
    assert holding == set(FAMILIES)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
class TestEveryOp:
    def test_name_is_snake_case(self, op: type[Op]) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", op.name)

    def test_has_a_docstring_of_its_own(self, op: type[Op]) -> None:
        doc = op.__doc__ or ""
        assert doc
        assert doc != Op.__doc__
        assert not doc.startswith(f"{op.__name__}(")  # what dataclass writes where there is none

    def test_docstring_names_every_attribute(self, op: type[Op]) -> None:
        own = "".join(base.__doc__ or "" for base in op.__mro__ if base not in (Op, object))
        missing = [name for name in op.attribute_kinds() if not re.search(rf"\b{name}\b", own)]
        assert not missing

    def test_has_a_reference(self, op: type[Op]) -> None:
        assert op.has_reference() == (op.name != "foreign")

    def test_infer_and_compute_take_the_same_operands(self, op: type[Op]) -> None:
        if op.has_reference():
            names = [spec.name for spec in op.operand_specs()]
            taken = list(op.compute.__annotations__)
            assert [name for name in taken if name not in ("return", "run")] == names

    def test_commutes_only_with_two_operands(self, op: type[Op]) -> None:
        commutes = Trait.COMMUTATIVE in op.traits
        assert not commutes or [s.name for s in op.operand_specs()] == ["a", "b"]

    def test_is_exported(self, op: type[Op]) -> None:
        assert op.__name__ in importlib.import_module(op.__module__).__all__


def test_registry_is_made_once() -> None:
    assert core_ops() is core_ops()


def test_bases_are_no_ops() -> None:
    assert Elementwise not in core_ops().values()


def test_two_ops_of_one_name_clash() -> None:
    class Other(Elementwise, name="add", formula="a + b"):
        """Another add."""

    with pytest.raises(OpError, match=r"two ops are called 'add': .*Add and .*Other; rename one"):
        OpRegistry([Add, Other])
