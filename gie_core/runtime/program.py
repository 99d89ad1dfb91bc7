"""A program: a plan's steps bound to memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gie_core.engine.plan import Place, Plan, Region, Slot, Step
from gie_core.ir.types import Array
from gie_core.kernels.provider import (
    KernelError,
    Launch,
    Memory,
    NamedProvider,
)
from gie_core.ops.run import ExecutionError, bind_symbols, failed, resolve
from gie_core.plugin.blame import blame
from gie_core.runtime.dispatch import Dispatcher
from gie_core.runtime.memory import HostMemory, read_only

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Program", "Tap"]

Tap = Callable[[Step, tuple[Any, ...]], None]
"""Called after a step with its results, which are only valid until it returns."""


_NOTHING = np.empty(0, np.uint8)


class Program:
    """Every step of a plan as functions without arguments.

    Args:
        plan: what runs.
        memory: where.
        providers: those that the plan names, by name.
        dispatcher: runs what has no memory of its own.
        slots: the values that are no regions.

    Attributes:
        sizes: of the inputs of this run: what symbols stand for.
    """

    def __init__(
        self,
        plan: Plan,
        memory: HostMemory,
        providers: Mapping[str, NamedProvider],
        dispatcher: Dispatcher,
        slots: list[Any],
    ) -> None:
        self._plan = plan
        self._memory = memory
        self._providers = providers
        self._dispatcher = dispatcher
        self._slots = slots
        self._regions: dict[Region, Array] = {}
        self.sizes: dict[str, int] = {}
        self._launches = [(step, self._bind(step)) for step in plan.steps]
        self._flat = [(step, launch) for step, found in self._launches for launch in found]
        self._pool: ThreadPoolExecutor | None = None

    def value(self, place: Place) -> Any:
        """The array in a region, or the object in a slot."""
        if isinstance(place, Slot):
            return self._slots[place.index]
        if place not in self._regions:
            self._regions[place] = self._memory.array(place)
        return self._regions[place]

    def put(self, place: Place, value: Any) -> None:
        """Write a value to a place."""
        if isinstance(place, Slot):
            self._slots[place.index] = value
        else:
            np.copyto(self.value(place), value, casting="unsafe")

    def run(self) -> None:
        """Run all steps.

        Raises:
            ExecutionError: a step failed; names its node.
        """
        if self._plan.streams > 1:
            self._run_streams()
            return
        step = None
        try:
            with np.errstate(all="ignore"):
                for step, launch in self._flat:  # noqa: B007 - the error below names it
                    launch()
        except ExecutionError:
            raise
        except Exception as error:  # a kernel is a third party's code; the node must be named
            assert step is not None
            raise failed(step.node, error) from error

    def run_tapped(self, tap: Tap) -> None:
        """Run all steps one after the other, and show each one's results."""
        for step, launches in self._launches:
            try:
                with np.errstate(all="ignore"):
                    for launch in launches:
                        launch()
            except ExecutionError:
                raise
            except Exception as error:  # as in run()
                raise failed(step.node, error) from error
            tap(step, tuple(self.value(place) for place in step.results))

    # ── Streams ─────────────────────────────────────────────────────────────────────

    def _run_streams(self) -> None:
        """Every stream in a thread of its own; the first runs here."""
        awaited = {index for step in self._plan.steps for index in step.after}
        done = {index: threading.Event() for index in awaited}
        stop = threading.Event()

        def halt() -> None:
            stop.set()
            for event in done.values():
                event.set()

        def stream(number: int) -> None:
            try:
                with np.errstate(all="ignore"):
                    self._run_stream(number, done, stop)
            except BaseException:
                halt()
                raise

        from concurrent.futures import ThreadPoolExecutor, wait  # few plans have streams

        count = self._plan.streams
        if self._pool is None:
            self._pool = ThreadPoolExecutor(count - 1, thread_name_prefix="gie-stream")
        others = [self._pool.submit(stream, number) for number in range(1, count)]
        try:
            stream(0)
            for other in others:
                other.result()
        except BaseException:  # an interrupt may come while others still write to this memory
            halt()
            wait(others)
            raise

    def _run_stream(
        self, number: int, done: Mapping[int, threading.Event], stop: threading.Event
    ) -> None:
        for index, (step, launches) in enumerate(self._launches):
            if step.stream != number:
                continue
            for earlier in step.after:
                done[earlier].wait()
            if stop.is_set():
                return
            try:
                for launch in launches:
                    launch()
            except ExecutionError:
                raise
            except Exception as error:  # as in run()
                raise failed(step.node, error) from error
            if index in done:
                done[index].set()

    # ── Binding ─────────────────────────────────────────────────────────────────────

    def _bind(self, step: Step) -> Sequence[Launch]:
        if not step.provider:
            return [self._copy(step)]
        if not step.candidate:
            return [self._function(step)]
        owner = self._provider(step)
        memory = Memory(
            operands=tuple(None if p is None else read_only(self.value(p)) for p in step.operands),
            results=tuple(self.value(p) for p in step.results),
            constants=tuple(self._plan.weights[number] for number in step.constants),
            workspace=_NOTHING if step.workspace is None else self.value(step.workspace),
        )
        what = f"at {step.node}, bind() of the kernel provider {owner.name!r}"
        with blame(owner.plugin, what):
            return list(owner.provider.bind(step.node, step.candidate, memory))

    def _provider(self, step: Step) -> NamedProvider:
        if step.provider not in self._providers:
            raise KernelError(
                f"{step.node} needs the kernel provider {step.provider!r}, which is not there; "
                f"install its plugin"
            )
        return self._providers[step.provider]

    def _copy(self, step: Step) -> Launch:
        (source,), (target,) = step.operands, step.results
        assert source is not None
        into = self.value(target)
        if isinstance(source, Region):
            array = self.value(source)
            return lambda: np.copyto(into, array, casting="unsafe")
        slots, slot, node = self._slots, source.index, step.node

        def unbox() -> None:
            array = slots[slot]
            if array.shape != into.shape:
                raise ExecutionError(
                    f"{node} needs {list(into.shape)}, but got an array of {list(array.shape)}"
                )
            np.copyto(into, array, casting="unsafe")

        return unbox

    def _function(self, step: Step) -> Launch:
        """A node that makes its results itself; they end up in slots."""
        node = step.node
        operands = [None if p is None else self._reader(p) for p in step.operands]
        results = [p.index for p in step.results if isinstance(p, Slot)]
        symbolic = bool(node.op.symbols())
        # Not through self: a program that its launches refer to would outlive its context.
        arena, sizes, slots = self._memory.arena, self.sizes, self._slots
        run = self._dispatcher.run

        def launch() -> None:
            op = resolve(node, sizes) if symbolic else node.op
            given = [None if read is None else read() for read in operands]
            for slot, value, result in zip(
                results, node.results, run(node, op, given), strict=True
            ):
                bind_symbols(value, result, sizes)
                slots[slot] = _apart(result, arena)

        return launch

    def _reader(self, place: Place) -> Callable[[], Any]:
        if isinstance(place, Slot):
            slots, index = self._slots, place.index
            return lambda: slots[index]
        array = read_only(self.value(place))
        return lambda: array


def _apart(result: Any, arena: Array) -> Any:
    """A result that shares no memory with the arena, where others will write."""
    if isinstance(result, list):
        return [_apart(item, arena) for item in cast("list[Any]", result)]
    if not isinstance(result, np.ndarray):
        return result
    array = cast("Array", result)
    return array.copy() if np.may_share_memory(array, arena) else array
