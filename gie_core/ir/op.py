"""Ops: what a node does, declared in one small class.

A subclass of ``Op`` is a frozen dataclass. Its fields are the attributes; the
parameters of its ``infer`` method name the operands; ``compute`` is the NumPy
reference. Nothing else has to be written::

    class LeakyRelu(Op, name="leaky_relu"):
        \"\"\"x where x > 0, alpha·x elsewhere.\"\"\"

        alpha: float = 0.01

        def infer(self, x: TensorType) -> TensorType:
            return x

        def compute(self, x: Array) -> Array:
            return np.where(x > 0, x, x * x.dtype.type(self.alpha))

A parameter with default ``None`` is an optional operand, ``*xs`` a variadic one.
Every construction checks the attributes against their annotations, so an op that
exists has attributes of the declared types.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields, replace
from functools import cache
from types import ModuleType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Self,
    cast,
    dataclass_transform,
    get_type_hints,
)

from gie_core.errors import GieError
from gie_core.ir.attribute import Kind, kind_of
from gie_core.ir.dims import SymInt, evaluate_dim, free_symbols
from gie_core.ir.types import Type

if TYPE_CHECKING:
    from gie_core.ir.expr import Expr
    from gie_core.ir.graph import Graph

__all__ = ["Op", "OpError", "OpRegistry", "Operand", "Trait", "UnknownTypesError", "ops_of"]


class OpError(GieError):
    """An op was given attributes or operands that it cannot take."""


class UnknownTypesError(OpError):
    """The result types do not follow from the operands' types; the node declares them."""


class Trait(enum.Enum):
    """A promise of an op that passes and verifiers rely on."""

    COMMUTATIVE = "commutative"
    """Its two operands may be exchanged."""
    IMPURE = "impure"
    """Two runs on the same operands may differ (random numbers): never folded, never shared."""
    OPAQUE = "opaque"
    """Shapes of its results may depend on the operands' data: types are declared, not inferred."""


@dataclass(frozen=True)
class Operand:
    """One operand of an op, read off the signature of ``infer``."""

    name: str
    optional: bool = False
    variadic: bool = False


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Op:
    """Base of all ops. See the module's docstring for how to declare one.

    Class keywords:
        name: its name in the text form; a plugin's op has a dot in it ("acme.swish").
        results: names of the results; one that starts with "*" stands for any number.
        traits: promises, see ``Trait``.
    """

    name: ClassVar[str]
    results: ClassVar[tuple[str, ...]]
    traits: ClassVar[frozenset[Trait]]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        results: tuple[str, ...] = ("y",),
        traits: Iterable[Trait] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        taken = sorted(inspect.get_annotations(cls).keys() & vars(Op).keys())
        if taken:
            raise TypeError(
                f"{cls.__qualname__} cannot call an attribute {taken[0]!r}: Op has a method of "
                "that name"
            )
        if inspect.get_annotations(cls) or Op in cls.__bases__:
            # Half of all ops have no attributes of their own: what their base has serves them.
            dataclass(frozen=True, kw_only=True)(cls)
        if name is not None:
            cls.name, cls.results, cls.traits = name, results, frozenset(traits)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to {name!r}: an op does not change")

    def __post_init__(self) -> None:
        for name, kind in self.attribute_kinds().items():
            try:
                object.__setattr__(self, name, kind.coerce(getattr(self, name)))
            except TypeError as error:
                raise OpError(f"attribute {name!r} of {self.name}: {error}") from None

    # ── What a subclass defines ─────────────────────────────────────────────────────

    def infer(self, *args: Any, **kwargs: Any) -> Type | tuple[Type, ...] | None:
        """Types of the results from types of the operands.

        Returns ``None`` where the types can't be inferred and the node declares them.

        Raises:
            OpError: the operands do not fit the op or each other.
        """
        raise NotImplementedError(f"{type(self).__name__} must define infer()")

    def compute(self, *args: Any, **kwargs: Any) -> Any:
        """The NumPy reference: arrays in, an array (or a tuple of arrays) out.

        An op with a ``Graph`` among its attributes also gets ``run``, a function
        ``(graph, arrays) -> arrays`` that executes it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reference implementation")

    def expression(self, *operands: Expr) -> Expr | None:
        """The op as a scalar expression of its operands, or ``None`` if it isn't pointwise."""
        return None

    # ── What follows from the declaration ───────────────────────────────────────────

    @classmethod
    def operand_specs(cls) -> tuple[Operand, ...]:
        """The declared operands in order."""
        return _operand_specs(cls)

    @classmethod
    def attribute_kinds(cls) -> Mapping[str, Kind]:
        """Name and kind of each attribute, in declared order."""
        return _attribute_kinds(cls)

    @classmethod
    def has_reference(cls) -> bool:
        """Whether the op computes itself in NumPy."""
        return cls.compute is not Op.compute

    def attribute_values(self) -> dict[str, Any]:
        """All attributes by name."""
        return {name: getattr(self, name) for name in self.attribute_kinds()}

    def changed_attributes(self) -> dict[str, Any]:
        """The attributes that differ from their defaults: those the text form shows."""
        defaults = {f.name: f.default for f in fields(self)}  # pyright: ignore[reportArgumentType] - subclasses are dataclasses
        return {
            name: value
            for name, value in self.attribute_values().items()
            if defaults[name] is MISSING or value != defaults[name]
        }

    def subgraphs(self) -> dict[str, Graph]:
        """The attributes that are graphs."""
        kinds = self.attribute_kinds()
        return {n: getattr(self, n) for n, kind in kinds.items() if kind.name == "graph"}

    def replace(self, **changes: Any) -> Self:
        """A copy with some attributes changed."""
        copy: Self = replace(cast("Any", self), **changes)
        return copy

    def symbols(self) -> frozenset[str]:
        """Symbols that occur in the attributes' dimensions."""
        return free_symbols(*(dim for value in self._dim_values() for dim in value))

    def resolve(self, sizes: Mapping[str, int]) -> Self:
        """The op with its symbolic dimensions replaced by numbers.

        Raises:
            KeyError: a symbol has no number.
        """
        if not self.symbols():
            return self
        return self.replace(**dict(self._resolved(sizes)))

    def _dim_values(self) -> Iterator[tuple[int | SymInt, ...]]:
        for name, kind in self.attribute_kinds().items():
            value = getattr(self, name)
            if kind.name == "dim" and value is not None:
                yield (value,)
            elif kind.item is not None and kind.item.name == "dim" and value is not None:
                yield value

    def _resolved(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, Any]]:
        for name, kind in self.attribute_kinds().items():
            value = getattr(self, name)
            if kind.name == "dim" and isinstance(value, SymInt):
                yield name, evaluate_dim(value, sizes)
            elif kind.item is not None and kind.item.name == "dim" and value is not None:
                yield name, tuple(evaluate_dim(dim, sizes) for dim in value)


@cache
def _operand_specs(cls: type[Op]) -> tuple[Operand, ...]:
    specs: list[Operand] = []
    for parameter in list(inspect.signature(cls.infer).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY:
            continue
        variadic = parameter.kind is parameter.VAR_POSITIONAL
        specs.append(Operand(parameter.name, parameter.default is None, variadic))
    return tuple(specs)


@cache
def _attribute_kinds(cls: type[Op]) -> Mapping[str, Kind]:
    # Graph and Program are only imported for type checking where ops are declared.
    from gie_core.ir.expr import Program
    from gie_core.ir.graph import Graph

    names = {**globals(), "Graph": Graph, "Program": Program}
    for base in reversed(cls.__mro__):
        names.update(vars(sys.modules[base.__module__]))
    hints = get_type_hints(cls, globalns=names)
    return {f.name: kind_of(hints[f.name]) for f in fields(cls)}  # pyright: ignore[reportArgumentType] - subclasses are dataclasses


class OpRegistry(Mapping[str, type[Op]]):
    """Op classes by name.

    Args:
        ops: those that it has.
        homes: further ops, by name, with the modules that define them; a module is imported
            when one of its ops is asked for.
    """

    def __init__(
        self, ops: Iterable[type[Op]] = (), homes: Mapping[str, str] | None = None
    ) -> None:
        self._ops: dict[str, type[Op]] = {}
        self._homes = dict(homes or {})
        for op in ops:
            self.add(op)

    def copy(self) -> OpRegistry:
        """Another one with the same ops."""
        return OpRegistry(self._ops.values(), self._homes)

    def add(self, op: type[Op]) -> None:
        """Register an op class.

        Raises:
            OpError: another class has this name.
        """
        known = self.get(op.name, op)
        self._ops[op.name] = known
        if known is not op:
            raise OpError(
                f"two ops are called {op.name!r}: {known.__module__}.{known.__qualname__} "
                f"and {op.__module__}.{op.__qualname__}; rename one"
            )

    def __getitem__(self, name: str) -> type[Op]:
        if name not in self._ops and name in self._homes:
            family = ops_of(importlib.import_module(self._homes[name]))
            self._ops[name] = next(op for op in family if op.name == name)
        return self._ops[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ops or name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._homes, *self._ops)))

    def __len__(self) -> int:
        return len(self._homes.keys() | self._ops.keys())


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
