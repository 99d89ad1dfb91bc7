"""The registry of core ops, and what every op must declare."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import gie_core.ops
from gie_core.ir.op import Op, OpError, OpRegistry, Trait
from gie_core.ops import FAMILIES, core_ops, ops_of
from gie_core.ops.arithmetic import Add
from gie_core.ops.elementwise import Elementwise

OPS = sorted(core_ops().values(), key=lambda op: op.name)


@pytest.mark.parametrize("family", FAMILIES)
def test_family_holds_its_ops(family: str) -> None:
    module = importlib.import_module(f"gie_core.ops.{family}")
    assert sorted(op.name for op in ops_of(module)) == FAMILIES[family].split()


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


def test_a_family_is_imported_when_one_of_its_ops_is_asked_for() -> None:
    code = (
        "import sys; from gie_core.ops import core_ops\n"
        "ops = core_ops(); assert len(ops) == len(set(ops)) > 100 and 'tanh' in ops\n"
        "def there(family): return f'gie_core.ops.{family}' in sys.modules\n"
        "assert not there('activation') and not there('index')\n"
        "assert ops['tanh'].name == 'tanh' and there('activation') and not there('index')\n"
        "assert 'sigmoid_' not in ops and ops.get('sigmoid_') is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_copy_is_extended_alone() -> None:
    class Novel(Elementwise, name="novel", formula="a + a"):
        """A new op."""

    copy = core_ops().copy()
    assert dict(copy) == dict(core_ops())
    copy.add(Novel)
    assert copy["novel"] is Novel
    assert "novel" not in core_ops()
    assert len(copy) == len(core_ops()) + 1


def test_an_op_of_a_family_clashes_though_nobody_asked_for_it() -> None:
    class Other(Elementwise, name="celu", formula="a + a"):
        """Another celu."""

    with pytest.raises(OpError, match="two ops are called 'celu'"):
        core_ops().copy().add(Other)


def test_registry_is_made_once() -> None:
    assert core_ops() is core_ops()


def test_bases_are_no_ops() -> None:
    assert Elementwise not in core_ops().values()


def test_two_ops_of_one_name_clash() -> None:
    class Other(Elementwise, name="add", formula="a + b"):
        """Another add."""

    with pytest.raises(OpError, match=r"two ops are called 'add': .*Add and .*Other; rename one"):
        OpRegistry([Add, Other])
