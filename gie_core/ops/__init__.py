"""The ops of GIE's core, one file per family."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from gie_core.ir.op import Op, OpRegistry

__all__ = ["FAMILIES", "core_ops", "ops_of"]

FAMILIES = (
    "activation",
    "arithmetic",
    "control",
    "conv",
    "foreign",
    "group",
    "identity",
    "index",
    "linear",
    "norm",
    "pointwise",
    "pool",
    "quantize",
    "reduce",
    "resize",
    "shape",
)
"""Modules of this package that define ops."""


@cache
def core_ops() -> OpRegistry:
    """All ops that need no plugin, by name. The modules are imported at the first call."""
    modules = (importlib.import_module(f"{__name__}.{family}") for family in FAMILIES)
    return OpRegistry(op for module in modules for op in ops_of(module))


def ops_of(module: ModuleType) -> list[type[Op]]:
    """The op classes that a module defines; bases without a name do not count."""
    return [
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Op)
        and member.__module__ == module.__name__
        and "name" in vars(member)
    ]
