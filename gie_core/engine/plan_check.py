"""What every plan fulfils, so that running it touches no memory but its own.

This is the border between an engine file that anybody may have written and executors that set
aside memory and hand out addresses: no number that was read from a file is used before it has
passed here. Whether a plan computes the right thing is another question; nothing here answers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from gie_core.engine.plan import ALIGNMENT, Kind, Place, Plan, Region, Slot, Step, Storage
from gie_core.errors import GieError
from gie_core.ir.graph import Value
from gie_core.ir.specialize import extents, is_static_type
from gie_core.ir.types import DType

__all__ = ["PlanError", "check_plan"]

MAX_ARENA = 2**40
MAX_SLOTS = 2**20
MAX_STREAMS = 256


class PlanError(GieError):
    """A plan would use memory that is not its own, or contradicts itself."""


def check_plan(plan: Plan, name: str = "the plan") -> None:
    """Check a plan against its graph and its own storages.

    Args:
        plan: with all offsets.
        name: what errors call it.

    Raises:
        PlanError: "plan 0, step 12, operand 1: …".
    """
    _Checker(plan, name).run()


class _Checker:
    def __init__(self, plan: Plan, name: str) -> None:
        self.plan = plan
        self.name = name

    def run(self) -> None:
        plan = self.plan
        if not 0 <= plan.arena <= MAX_ARENA:
            self._fail("", f"an arena of {plan.arena} bytes is not between 0 and {MAX_ARENA}")
        if not 0 <= plan.slots <= MAX_SLOTS:
            self._fail("", f"{plan.slots} slots are not between 0 and {MAX_SLOTS}")
        for index, storage in enumerate(plan.storages):
            self._storage(f"storage {index}", storage)
        for index, (slot, constant) in enumerate(plan.fixed):
            self._index(f"fixed {index}", slot, plan.slots, "slot")
            self._index(f"fixed {index}", constant, len(plan.constants), "constant")
        self._values("input", plan.inputs, plan.graph.inputs)
        self._values("output", plan.outputs, plan.graph.outputs)
        for index, storage in enumerate(plan.storages):
            self._lendable(index, storage)
        for index, step in enumerate(plan.steps):
            self._step(index, step)

    # ── Memory ──────────────────────────────────────────────────────────────────────

    def _storage(self, where: str, storage: Storage) -> None:
        if storage.kind is Kind.CONSTANT:
            self._index(where, storage.offset, len(self.plan.constants), "constant")
            data = self.plan.constants[storage.offset]
            if data.dtype == object or data.nbytes != storage.size:
                self._fail(where, f"constant {storage.offset} does not take {storage.size} bytes")
            return
        if storage.size < 0 or storage.offset < 0 or storage.offset % ALIGNMENT:
            self._fail(where, f"its offset {storage.offset} or size {storage.size} is not valid")
        if storage.offset + storage.size > self.plan.arena:
            self._fail(where, f"it ends beyond the arena of {self.plan.arena} bytes")

    def _lendable(self, number: int, storage: Storage) -> None:
        """Whoever lends memory for inputs and outputs lends no more than these take."""
        if storage.kind not in (Kind.INPUT, Kind.OUTPUT):
            return
        places = self.plan.inputs if storage.kind is Kind.INPUT else self.plan.outputs
        ends = [p.span[1] for p in places if isinstance(p, Region) and p.storage == number]
        if storage.size != max(ends, default=-1):
            self._fail(
                f"storage {number}",
                f"its {storage.size} bytes are not those of an {storage.kind.value} of the graph",
            )

    def _region(self, where: str, region: Region, written: bool = False) -> None:
        self._index(where, region.storage, len(self.plan.storages), "storage")
        storage, layout = self.plan.storages[region.storage], region.layout
        if layout.dtype is DType.STR:
            self._fail(where, "strings have no place in raw memory")
        if len(layout.shape) != len(layout.strides) or min(layout.shape, default=0) < 0:
            self._fail(where, f"{layout} is no layout")
        unit = layout.dtype.numpy.alignment
        if any(each % unit for each in (region.offset, *layout.strides)):
            self._fail(where, f"{layout} at byte {region.offset} is not aligned to {unit} bytes")
        low, high = region.span
        if low < 0 or high > storage.size:
            self._fail(
                where,
                f"it takes the bytes {low} to {high} of storage {region.storage}, which has "
                f"{storage.size}",
            )
        if written and storage.kind in (Kind.CONSTANT, Kind.INPUT):
            self._fail(where, f"it would be written into the {storage.kind.value} memory")

    # ── Values ──────────────────────────────────────────────────────────────────────

    def _values(self, what: str, places: Sequence[Place | None], values: Sequence[Value]) -> None:
        if len(places) != len(values):
            self._fail("", f"it has {len(places)} {what}s, but its graph has {len(values)}")
        for index, (place, value) in enumerate(zip(places, values, strict=True)):
            if place is None:
                self._fail(f"{what} {index}", "it lies nowhere")
            self._place(f"{what} {index}", place, value)

    def _place(
        self, where: str, place: Place | None, value: Value | None, written: bool = False
    ) -> None:
        """A place, of a value if known; a region has exactly its shape."""
        if place is None:
            return
        if isinstance(place, Slot):
            self._index(where, place.index, self.plan.slots, "slot")
            return
        self._region(where, place, written)
        if value is None:
            return
        if not is_static_type(value.type):
            self._fail(where, f"%{value.name}: {value.type} is not known well enough for a region")
        if extents(value) != place.layout.shape:
            self._fail(where, f"%{value.name} is {value.type}, its layout {place.layout}")

    # ── Steps ───────────────────────────────────────────────────────────────────────

    def _step(self, index: int, step: Step) -> None:
        where = f"step {index}"
        if step.provider:
            self._kernel(where, step)
        else:
            self._copy(where, step)
        for constant in step.constants:
            self._index(where, constant, len(self.plan.weights), "weight")
        if step.workspace is not None:
            self._workspace(f"{where}, workspace", step.workspace)
        if not 0 <= step.stream < MAX_STREAMS:
            self._fail(where, f"its stream {step.stream} is not between 0 and {MAX_STREAMS - 1}")
        for other in step.after:
            if not 0 <= other < index:
                self._fail(where, f"it waits for step {other}, which does not come before it")

    def _kernel(self, where: str, step: Step) -> None:
        node = step.node
        if len(step.operands) != len(node.operands) or len(step.results) != len(node.results):
            self._fail(where, f"it has not as many operands and results as {node}")
        for index, (place, value) in enumerate(zip(step.operands, node.operands, strict=True)):
            if place is not None and value is None:
                self._fail(f"{where}, operand {index}", f"{node} has no such operand")
            if step.candidate and isinstance(place, Slot):
                self._fail(f"{where}, operand {index}", "a kernel does not read from slots")
            self._place(f"{where}, operand {index}", place, value)
        for index, (place, value) in enumerate(zip(step.results, node.results, strict=True)):
            if isinstance(place, Slot) == bool(step.candidate):
                self._fail(
                    f"{where}, result {index}", "kernels write regions, functions write slots"
                )
            self._place(f"{where}, result {index}", place, value, written=True)

    def _copy(self, where: str, step: Step) -> None:
        if len(step.operands) != 1 or len(step.results) != 1:
            self._fail(where, "a copy has one operand and one result")
        source, target = step.operands[0], step.results[0]
        self._place(f"{where}, operand 0", source, None)
        self._place(f"{where}, result 0", target, None, written=True)
        if source is None or not isinstance(target, Region):
            self._fail(where, "a copy reads something and writes a region")
        if isinstance(source, Region) and source.layout.shape != target.layout.shape:
            self._fail(where, f"{source.layout} cannot be copied to {target.layout}")

    def _workspace(self, where: str, region: Region) -> None:
        self._region(where, region, written=True)
        layout = region.layout
        if layout.dtype is not DType.U8 or layout.strides != (1,):
            self._fail(where, f"{layout} is not plain bytes")

    # ── Errors ──────────────────────────────────────────────────────────────────────

    def _index(self, where: str, index: int, count: int, what: str) -> None:
        if not 0 <= index < count:
            self._fail(where, f"there is no {what} {index} (there are {count})")

    def _fail(self, where: str, problem: str) -> NoReturn:
        raise PlanError(f"{', '.join(filter(None, (self.name, where)))}: {problem}")
