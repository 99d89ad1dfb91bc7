"""A context: one plan in one piece of memory, ready to run again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gie_core.engine.plan import Kind, Place, Plan, Region
from gie_core.ir.graph import Value
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.format import row_major
from gie_core.kernels.provider import NamedProvider
from gie_core.ops.run import ExecutionError, bind_inputs
from gie_core.runtime.dispatch import Dispatcher
from gie_core.runtime.memory import HostMemory
from gie_core.runtime.program import Program, Tap
from gie_core.runtime.target import HOST

__all__ = ["HostContext"]

BINDINGS = 8
"""Programs bound to callers' memory that are kept."""


class HostContext:
    """Runs a plan with NumPy. One thread at a time; states live here from run to run.

    Args:
        plan: for the sizes that the inputs will have.
        providers: at least those that the plan names, in the order in which they are asked.
    """

    def __init__(self, plan: Plan, providers: Sequence[NamedProvider]) -> None:
        self.plan = plan
        self._providers = {each.name: each for each in providers}
        self._dispatcher = Dispatcher(providers, HOST)
        self._slots: list[Any] = [None] * plan.slots
        self._fixed = {slot for slot, _ in plan.fixed}
        self._states = {state.input for state in plan.graph.states}
        for slot, number in plan.fixed:
            self._slots[slot] = plan.constants[number]
        self._held = list(_arrays([*plan.constants, *plan.weights]))
        self._memory = HostMemory(plan.storages, plan.arena, plan.constants)
        self._program = self._bound_to(self._memory)
        self._bound: OrderedDict[tuple[Any, ...], Program] = OrderedDict()
        self.reset()

    @property
    def memory_bytes(self) -> int:
        """Bytes of the arena."""
        return self.plan.arena

    def run(
        self,
        inputs: Sequence[Any],
        out: Sequence[Array | None] | None = None,
        tap: Tap | None = None,
    ) -> list[Any]:
        """Run once.

        Args:
            inputs: one array per graph input, in order (a list for a sequence, ``None`` for an
                empty optional, or for a state that is to stay as the last run left it).
            out: for each output an array of its type and shape to be written, or ``None``.
            tap: looks at every step's results.

        Returns:
            One array per output: ``out``'s where given, else a new one that is the caller's.

        Raises:
            ExecutionError: an input or ``out`` does not fit, or a step failed; names the node.
        """
        out = [None] * len(self.plan.outputs) if out is None else out
        return self._run(self._program, self.check(inputs, out), inputs, out, tap, {})

    def run_bound(
        self, inputs: Sequence[Any], out: Sequence[Array | None], tap: Tap | None = None
    ) -> list[Any]:
        """As ``run``, but kernels read ``inputs`` and write ``out`` where they lie.

        The first run with certain memory binds it; later ones with the same memory are as cheap
        as can be. Arrays that are not contiguous, not aligned, or share memory are copied as in
        ``run``.
        """
        sizes = self.check(inputs, out)
        lent = self._lendable(inputs, out)
        key = tuple((number, _address(array)) for number, array in sorted(lent.items()))
        if key not in self._bound:
            self._bound[key] = self._bound_to(self._memory.lending(lent))
            if len(self._bound) > BINDINGS:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._run(self._bound[key], sizes, inputs, out, tap, lent)

    def check(self, inputs: Sequence[Any], out: Sequence[Array | None]) -> dict[str, int]:
        """Check inputs and ``out`` as a run does; returns the numbers for the inputs' symbols.

        Raises:
            ExecutionError: one does not fit.
        """
        sizes = bind_inputs(self.plan.graph, inputs)
        for value, array in zip(self.plan.graph.outputs, out, strict=True):
            _check_out(value, array)
        return sizes

    def states(self) -> list[Array]:
        """The memory of every state, in the graph's order."""
        places = dict(zip(self.plan.graph.inputs, self.plan.inputs, strict=True))
        return [self._program.value(places[state.input]) for state in self.plan.graph.states]

    def reset(self) -> None:
        """Let all states be zero, as before the first run."""
        for storage in self.plan.storages:
            if storage.kind is Kind.STATE:
                self._memory.arena[storage.offset : storage.offset + storage.size] = 0

    # ── Inside ──────────────────────────────────────────────────────────────────────

    def _run(
        self,
        program: Program,
        sizes: Mapping[str, int],
        inputs: Sequence[Any],
        out: Sequence[Array | None],
        tap: Tap | None,
        lent: Mapping[int, Array],
    ) -> list[Any]:
        program.sizes.clear()
        program.sizes.update(sizes)
        for value, place, array in zip(
            self.plan.graph.inputs, self.plan.inputs, inputs, strict=True
        ):
            kept = array is None and value in self._states
            if not kept and not _lies_there(array, place, lent):
                program.put(place, array)
        try:
            if tap is None:
                program.run()
            else:
                program.run_tapped(tap)
            return self._collect(program, inputs, out, lent)
        except MemoryError as error:  # an output may be a broadcast view of far less memory
            raise ExecutionError("there is not enough memory for the outputs") from error
        finally:
            for place in (*self.plan.inputs, *self.plan.outputs):
                if not isinstance(place, Region) and place.index not in self._fixed:
                    program.put(place, None)  # what is the caller's must not be kept alive

    def _collect(
        self,
        program: Program,
        inputs: Sequence[Any],
        out: Sequence[Array | None],
        lent: Mapping[int, Array],
    ) -> list[Any]:
        taken = [*self._held, *_arrays(inputs)]
        found: list[Any] = []
        for value, place, given in zip(
            self.plan.graph.outputs, self.plan.outputs, out, strict=True
        ):
            result = program.value(place)
            if given is not None:
                if not _lies_there(given, place, lent):
                    np.copyto(given, result, casting="unsafe")
                found.append(given)
            elif isinstance(place, Region):
                found.append(np.array(result, dtype=_dtype(value), order="C"))
            else:
                found.append(_own(result, taken))
                taken += _arrays([found[-1]])
        return found

    def _bound_to(self, memory: HostMemory) -> Program:
        return Program(self.plan, memory, self._providers, self._dispatcher, self._slots)

    def _lendable(self, inputs: Sequence[Any], out: Sequence[Array | None]) -> dict[int, Array]:
        """The storages that callers' arrays can stand in for."""
        lent: dict[int, Array] = {}
        pairs = [*zip(self.plan.inputs, inputs, strict=True)]
        pairs += [*zip(self.plan.outputs, out, strict=True)]
        values = (*self.plan.graph.inputs, *self.plan.graph.outputs)
        for value, (place, array) in zip(values, pairs, strict=True):
            if array is None or not self._stands_for(place, value, array):
                continue
            assert isinstance(place, Region)
            shared = any(np.may_share_memory(array, other) for other in lent.values())
            if not shared and place.storage not in lent:
                lent[place.storage] = array
        return lent

    def _stands_for(self, place: Place, value: Value, array: Any) -> bool:
        if not isinstance(place, Region) or not isinstance(array, np.ndarray):
            return False
        array = cast("Array", array)
        storage = self.plan.storages[place.storage]
        if storage.kind not in (Kind.INPUT, Kind.OUTPUT):
            return False
        if not (array.flags.c_contiguous and array.flags.aligned):
            return False
        as_is = row_major(value.tensor).layout(array.shape)
        return place.span == (0, storage.size) and place.layout.canonical() == as_is.canonical()


def _lies_there(array: Any, place: Place, lent: Mapping[int, Array]) -> bool:
    """Whether a place is in this very array; several outputs may share a storage."""
    return isinstance(place, Region) and lent.get(place.storage) is array


def _check_out(value: Value, array: Any) -> None:
    if array is None:
        return
    type_ = value.type
    if not isinstance(type_, TensorType) or not type_.is_static:
        raise ExecutionError(f"out for %{value.name} can't be given: its size is known too late")
    given = type(array).__name__
    if isinstance(array, np.ndarray):
        array = cast("Array", array)
        if (array.dtype, array.shape) == (_dtype(value), type_.shape) and array.flags.writeable:
            return
        given = f"{'' if array.flags.writeable else 'read-only '}{array.dtype}{list(array.shape)}"
    raise ExecutionError(
        f"out for %{value.name} must be a writable array of {type_}, but is {given}"
    )


def _dtype(value: Value) -> np.dtype[Any]:
    return value.tensor.dtype.numpy


def _address(array: Array) -> int:
    return array.__array_interface__["data"][0]


def _own(output: Any, taken: Sequence[Array]) -> Any:
    """An output, copied where it could be a view of what isn't the caller's alone."""
    if isinstance(output, list):
        return [_own(item, taken) for item in cast("list[Any]", output)]
    if not isinstance(output, np.ndarray):
        return output
    array = cast("Array", output)
    shared = any(np.may_share_memory(array, other) for other in taken)
    return array.copy() if shared or not array.flags.writeable else array


def _arrays(values: Iterable[Any]) -> Iterator[Array]:
    """All arrays among values and, since sequences are lists, within them."""
    for value in values:
        if isinstance(value, list):
            yield from _arrays(cast("list[Any]", value))
        elif isinstance(value, np.ndarray):
            yield cast("Array", value)
