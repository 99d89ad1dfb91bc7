"""An engine: a network that is built and ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import DType, TensorType, Type
from gie_core.ops.run import ExecutionError

if TYPE_CHECKING:
    from gie_core.builder.report import BuildReport
    from gie_core.runtime.host import HostExecutor
    from gie_core.runtime.target import Target

__all__ = ["Engine", "TensorInfo"]


@dataclass(frozen=True, repr=False)
class TensorInfo:
    """One input or output.

    Args:
        name: as in the model.
        type: dtype and shape; symbols in the shape stand for sizes that may vary.
    """

    name: str
    type: Type

    @property
    def dtype(self) -> DType | None:
        """The element type; ``None`` for sequences and optionals."""
        return self.type.dtype if isinstance(self.type, TensorType) else None

    @property
    def shape(self) -> tuple[int | str, ...] | None:
        """Extents, symbolic ones as text; ``None`` where not even the rank is known."""
        if not isinstance(self.type, TensorType) or self.type.shape is None:
            return None
        return tuple(d if isinstance(d, int) else str(d) for d in self.type.shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.type}"

    __repr__ = __str__


class Engine:
    """A network that is ready to run. Threads may share it.

    Attributes:
        graph: the optimized graph; read it, don't change it.
        report: what the build did.
        target: what it runs on.
    """

    def __init__(
        self, graph: Graph, executor: HostExecutor, report: BuildReport, target: Target
    ) -> None:
        self.graph = graph
        self.report = report
        self.target = target
        self._executor = executor
        self.inputs = tuple(TensorInfo(v.name, v.type) for v in graph.inputs)
        self.outputs = tuple(
            TensorInfo(name, v.type)
            for name, v in zip(graph.output_names, graph.outputs, strict=True)
        )

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the network once.

        Args:
            *arrays: the inputs in order, or one dict of inputs by name.
            **named: inputs by name.

        Returns:
            The output, or a dict of outputs by name where there are several.

        Raises:
            ExecutionError: an input is missing, unknown, or of the wrong type or shape.
        """
        outputs = self.run(self._by_name(arrays, named))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once; inputs and outputs by name. Raises as ``__call__``."""
        known = [info.name for info in self.inputs]
        unknown = sorted(inputs.keys() - set(known))
        missing = [name for name in known if name not in inputs]
        if unknown or missing:
            problem = (
                f"unknown input {unknown[0]!r}" if unknown else f"input {missing[0]!r} is missing"
            )
            raise ExecutionError(
                f"{problem}; the inputs are {', '.join(map(str, self.inputs)) or 'none'}"
            )
        arrays = [_as_array(inputs[v.name], v) for v in self.graph.inputs]
        return dict(zip(self.graph.output_names, self._executor.run(arrays), strict=True))

    def _by_name(self, arrays: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            return {**cast("Mapping[str, Any]", arrays[0]), **named}
        if len(arrays) > len(self.inputs):
            raise ExecutionError(
                f"the network has {len(self.inputs)} inputs, but got {len(arrays)}"
            )
        positional = {info.name: array for info, array in zip(self.inputs, arrays, strict=False)}
        twice = sorted(positional.keys() & named.keys())
        if twice:
            raise ExecutionError(f"input {twice[0]!r} was given twice")
        return {**positional, **named}

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, infos)) for infos in (self.inputs, self.outputs))
        return f"<Engine {self.graph.name} on {self.target}: ({inputs}) -> ({outputs})>"


def _as_array(given: Any, value: Value) -> Any:
    """Python lists and numbers take the input's dtype; arrays must have it."""
    if not isinstance(value.type, TensorType):
        return given
    if given is None:
        raise ExecutionError(f"input {value.name!r} is {value.type}, but got None")
    if hasattr(given, "__array__") or hasattr(given, "__dlpack__"):
        array = np.asarray(given) if hasattr(given, "__array__") else np.from_dlpack(given)
        if array.dtype.kind in "US" and value.type.dtype is DType.STR:
            return array.astype(object)
        if array.dtype != value.type.dtype.numpy:
            raise ExecutionError(
                f"input {value.name!r} is {value.type}, but got {array.dtype}; convert it with "
                f".astype({value.type.dtype.numpy.name!r})"
            )
        return array
    try:
        return np.asarray(given, dtype=value.type.dtype.numpy)
    except (ValueError, TypeError, OverflowError) as error:
        raise ExecutionError(
            f"input {value.name!r} is {value.type}, and {type(given).__name__} does not convert "
            f"to it: {error}"
        ) from None
