"""An engine: a network that is built and ready to run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from gie_core.engine.file import Package, save_package
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.ir.dims import free_symbols
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import Array, DType, TensorType, Type
from gie_core.ops.run import ExecutionError, bind_inputs

if TYPE_CHECKING:
    from gie_core.builder.report import BuildReport

__all__ = ["Binding", "Context", "Engine", "Executor", "ExecutorMaker", "RunContext", "TensorInfo"]


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


class RunContext(Protocol):
    """One plan in memory of its own, as an executor makes it."""

    @property
    def plan(self) -> Plan: ...

    def run(
        self, inputs: Sequence[Any], out: Sequence[Array | None] | None = None, tap: Any = None
    ) -> list[Any]: ...

    def run_bound(
        self, inputs: Sequence[Any], out: Sequence[Array | None], tap: Any = None
    ) -> list[Any]: ...

    def check(self, inputs: Sequence[Any], out: Sequence[Array | None]) -> object: ...

    def states(self) -> list[Array]: ...

    def reset(self) -> None: ...


class Executor(Protocol):
    """Runs plans on a target. Threads may share it."""

    def context(self, sizes: Mapping[str, int]) -> RunContext: ...


class ExecutorMaker(Protocol):
    """Knows the plugins: makes what runs a package, and packages with other weights."""

    def executor(self, package: Package) -> Executor: ...

    def refitted(self, package: Package, weights: Mapping[str, Any]) -> Package: ...


class Engine:
    """A network that is ready to run. Threads may share it.

    Attributes:
        package: everything that ``save`` writes.
        graph: the optimized graph; read it, don't change it.
        report: what the build did; ``None`` for an engine from a file, whose
            ``package.report`` has it as JSON.
        target: what it runs on, as text.
    """

    def __init__(
        self, package: Package, maker: ExecutorMaker, report: BuildReport | None = None
    ) -> None:
        self.package = package
        self.graph: Graph = package.graph
        self.report = report
        self.target = package.target
        self._maker = maker
        self._executor = maker.executor(package)
        self._idle: list[Context] = []
        self._lock = threading.Lock()
        self.inputs = tuple(TensorInfo(v.name, v.type) for v in self.graph.inputs)
        self.outputs = tuple(
            TensorInfo(name, v.type)
            for name, v in zip(self.graph.output_names, self.graph.outputs, strict=True)
        )

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the network once.

        Args:
            *arrays: the inputs in order, or one dict of inputs by name.
            **named: inputs by name; a state that is not given is zero.

        Returns:
            The output, or a dict of outputs by name where there are several. They are new arrays.

        Raises:
            ExecutionError: an input is missing, unknown, or of the wrong type or shape.
        """
        outputs = self.run(_by_name(self.inputs, arrays, named))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run(
        self, inputs: Mapping[str, Any], out: Mapping[str, Array] | None = None
    ) -> dict[str, Any]:
        """Run the network once; inputs and outputs by name. Raises as ``__call__``.

        Args:
            inputs: arrays by name.
            out: arrays to write outputs to, by name.
        """
        with self._lock:
            context = self._idle.pop() if self._idle else None
        if context is None:
            context = self.context()
        context.reset()
        try:
            outputs = context.run(inputs, out)
        except GieError:
            self._give_back(context)
            raise
        # After anything else, an interrupt for example, threads may still write to its memory.
        self._give_back(context)
        return outputs

    def _give_back(self, context: Context) -> None:
        with self._lock:
            if context.executor is self._executor:
                self._idle.append(context)

    def context(self) -> Context:
        """A context of its own: memory and states that nobody else uses."""
        return Context(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the engine file; an existing one is replaced in one go.

        Raises:
            EngineFileError: it can't be written.
        """
        digest = save_package(self.package, path)
        self.package = replace(self.package, digest=digest)

    def refit(self, weights: Mapping[str, Any]) -> None:
        """Exchange weights, without choosing kernels again.

        Contexts that exist keep the old ones.

        Args:
            weights: arrays by the constant's name in the model, of its type.

        Raises:
            RefitError: the engine was not built with ``refit=True``, an array does not fit, or
                other weights make another network of it.
        """
        package = self._maker.refitted(self.package, weights)
        executor = self._maker.executor(package)
        with self._lock:
            self.package, self.graph, self._executor = package, package.graph, executor
            self._idle = []

    @property
    def executor(self) -> Executor:
        """What makes contexts for the present weights."""
        return self._executor

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, infos)) for infos in (self.inputs, self.outputs))
        return f"<Engine {self.graph.name} on {self.target}: ({inputs}) -> ({outputs})>"


class Context:
    """Memory and states to run an engine in; one thread at a time.

    Attributes:
        engine: what runs.
        executor: what makes memory for it.
    """

    SIZES = 4
    """Plans for different sizes of inputs whose memory is kept."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.executor = engine.executor
        self._graph = engine.graph
        self._states = [state.input for state in self._graph.states]
        self._ready: dict[tuple[tuple[str, int], ...], RunContext] = {}
        self._last: RunContext | None = None

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run once, as the engine's call; a state that is not given is what the last run left."""
        outputs = self.run(_by_name(self.engine.inputs, arrays, named))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run(
        self,
        inputs: Mapping[str, Any],
        out: Mapping[str, Array] | None = None,
        tap: Any = None,
    ) -> dict[str, Any]:
        """Run once; inputs and outputs by name.

        Args:
            inputs: arrays by name; states may be left out.
            out: arrays to write outputs to, by name, of their type and shape.
            tap: called after every step of the plan with its results.

        Raises:
            ExecutionError: an input or ``out`` does not fit, or a node failed.
        """
        arrays = self._arrays(inputs)
        ready = self._run_context(arrays)
        self._carry_states(ready, arrays)
        results = ready.run(arrays, self._out(out), tap)
        return dict(zip(self._graph.output_names, results, strict=True))

    def bind(self, inputs: Mapping[str, Any], outputs: Mapping[str, Array]) -> Binding:
        """Let kernels read and write the caller's arrays where they lie.

        Args:
            inputs: arrays by name. Change their elements before each run.
            outputs: arrays by name, of the outputs' types and shapes.

        Returns:
            What runs when it is called, and returns ``outputs`` with new elements in them. Arrays
            that are not contiguous or share memory are copied in each run, as in ``run``.

        Raises:
            ExecutionError: an array does not fit.
        """
        arrays, out = self._arrays(inputs), self._out(outputs)
        ready = self._run_context(arrays)
        ready.check(arrays, out)

        def run() -> None:
            self._carry_states(ready, arrays)
            ready.run_bound(arrays, out)

        return Binding(run, dict(outputs))

    def reset(self) -> None:
        """Let all states be zero, as before the first run."""
        self._last = None

    @property
    def memory_bytes(self) -> int:
        """Bytes of all arenas; weights are the engine's."""
        return sum(ready.plan.arena for ready in self._ready.values())

    # ── Inside ──────────────────────────────────────────────────────────────────────

    def _arrays(self, inputs: Mapping[str, Any]) -> list[Any]:
        known = [info.name for info in self.engine.inputs]
        optional = {value.name for value in self._states}
        unknown = sorted(inputs.keys() - set(known))
        missing = [name for name in known if name not in inputs and name not in optional]
        if unknown or missing:
            problem = (
                f"unknown input {unknown[0]!r}" if unknown else f"input {missing[0]!r} is missing"
            )
            infos = ", ".join(map(str, self.engine.inputs)) or "none"
            raise ExecutionError(f"{problem}; the inputs are {infos}")
        return [
            _as_array(inputs[v.name], v) if v.name in inputs else None for v in self._graph.inputs
        ]

    def _out(self, out: Mapping[str, Array] | None) -> list[Array | None]:
        given = out or {}
        unknown = sorted(given.keys() - set(self._graph.output_names))
        if unknown:
            names = ", ".join(self._graph.output_names)
            raise ExecutionError(f"unknown output {unknown[0]!r}; the outputs are {names}")
        return [given.get(name) for name in self._graph.output_names]

    def _run_context(self, arrays: Sequence[Any]) -> RunContext:
        symbolic = any(not _is_static(v.type) for v in self._graph.inputs)
        sizes = bind_inputs(self._graph, arrays) if symbolic else {}
        for value, array in zip(self._graph.inputs, arrays, strict=True):
            if array is None and value in self._states:
                _check_known(value, sizes)
        key = tuple(sorted(sizes.items()))
        ready = self._ready.pop(key, None) or self.executor.context(sizes)
        self._ready[key] = ready  # the latest at the end
        if len(self._ready) > self.SIZES:
            self._ready.pop(next(iter(self._ready)))
        return ready

    def _carry_states(self, ready: RunContext, arrays: Sequence[Any]) -> None:
        """Give the states to the memory that is about to run; they are where the last run was."""
        if not self._states or self._last is ready:
            return
        given = dict(zip(self._graph.inputs, arrays, strict=True))
        if self._last is None:
            ready.reset()
        else:
            memories = zip(self._last.states(), ready.states(), strict=True)
            for value, (old, new) in zip(self._states, memories, strict=True):
                if given[value] is None:
                    _carry(value, old, new)
        self._last = ready


class Binding:
    """A run with fixed memory: see ``Context.bind``."""

    def __init__(self, run: Callable[[], object], outputs: dict[str, Array]) -> None:
        self._run = run
        self.outputs = outputs

    def __call__(self) -> dict[str, Array]:
        """Run once; the outputs that were bound are written and returned."""
        self._run()
        return self.outputs


def _check_known(state: Value, sizes: Mapping[str, int]) -> None:
    """Check that the other inputs say how large a state is that is not given."""
    shape = state.type.shape if isinstance(state.type, TensorType) else None
    unknown = sorted(free_symbols(*(shape or ())) - sizes.keys())
    if unknown:
        raise ExecutionError(
            f"the state {state.name!r} is {state.type}, and no input says what {unknown[0]} stands "
            "for; give the state"
        )


def _carry(state: Value, old: Array, new: Array) -> None:
    if old.shape != new.shape:
        raise ExecutionError(
            f"the state {state.name!r} has the shape {list(old.shape)}, but with these inputs "
            f"{list(new.shape)}; reset the context, or give the state"
        )
    np.copyto(new, old)


def _is_static(type_: Type) -> bool:
    return isinstance(type_, TensorType) and type_.is_static


def _by_name(
    infos: Sequence[TensorInfo], arrays: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    if len(arrays) == 1 and isinstance(arrays[0], Mapping):
        return {**cast("Mapping[str, Any]", arrays[0]), **named}
    if len(arrays) > len(infos):
        raise ExecutionError(f"the network has {len(infos)} inputs, but got {len(arrays)}")
    positional = {info.name: array for info, array in zip(infos, arrays, strict=False)}
    twice = sorted(positional.keys() & named.keys())
    if twice:
        raise ExecutionError(f"input {twice[0]!r} was given twice")
    return {**positional, **named}


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
