"""Any choice is right: random prices make the strategy pick mixtures that no real price would.

Kernels in all orders of axes, slices of concatenations within others, views of them, groups whole,
in part and apart, results in place, on several streams, from a file, in the caller's memory: the
answers are those of the references.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gie_core.builder.decide import decisions_of
from gie_core.builder.expand import expand
from gie_core.builder.formulate import Formulation, Part, formulate, key_of
from gie_core.builder.pipeline import optimize
from gie_core.builder.strategy import Solution, solve
from gie_core.builder.ways import Kernel, find_ways
from gie_core.engine.assemble import assemble
from gie_core.engine.file import Package, load_package, save_package
from gie_core.engine.plan import Plan, Region
from gie_core.engine.races import find_races
from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.parser import parse_graph
from gie_core.ir.specialize import extents, is_static
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Layout, Strides
from gie_core.kernels.provider import Launch, Memory, NamedProvider
from gie_core.ops import core_ops
from gie_core.ops.run import as_tuple, run_graph
from gie_core.plugin.host import default_host
from gie_core.runtime.context import HostContext
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.replan import packer
from gie_core.runtime.target import HOST, Target
from gie_core.testing.comparing import compare
from gie_core.testing.graphs import random_graphs
from gie_core.testing.inputs import random_inputs
from gie_core.testing.steps import NETWORK_STEPS

SHAPES = ((2, 4, 6, 5), (1, 3, 4, 4), (3, 2, 5, 5), (2, 6, 7), (2, 3))
GRAPHS = random_graphs(8, (DType.F64,), steps=NETWORK_STEPS, shapes=SHAPES)
F32_GRAPHS = random_graphs(8, (DType.F32,), steps=NETWORK_STEPS, shapes=SHAPES)
SEEDS = st.integers(0, 2**16)
*INSTALLED, REFERENCE = kernel_providers(default_host(), HOST)


def number(*parts: object, below: int) -> int:
    """A random number that depends on nothing but some texts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "little") % below


@dataclass(frozen=True)
class RandomPrices:
    """A price for everything, by a seed."""

    seed: int

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int:
        return number(self.seed, key_of(way), operands, results, below=1000)

    def cost(self, nanoseconds: int, way: Kernel) -> int:
        return nanoseconds

    def kernel_error(self, way: Kernel) -> float:
        return 0.0

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        return number(self.seed, value.name, source, target, below=500)

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        return 0.0


@dataclass(frozen=True)
class Erratic:
    """The references in random formats; each kernel checks what it is given.

    Args:
        seed: decides the formats.
        alignments: that a format may ask for.
    """

    seed: int
    alignments: tuple[int, ...] = (1,)

    def supports(self, node: Node, target: Target) -> Support:
        return Support.yes() if is_static(node) else Support.later()

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return [self._candidate(node, index) for index in range(3)]

    def _candidate(self, node: Node, index: int) -> Candidate:
        types = [str(v and v.type) for v in (*node.operands, *node.results)]
        rng = random.Random(number(self.seed, node.op.name, types, index, below=2**40))
        operands = tuple(
            None if v is None or v.data is not None else self._format(v, list(Strides), rng)
            for v in node.operands
        )
        writable = [Strides.DENSE, Strides.PITCHED]
        results = tuple(self._format(v, writable, rng) for v in node.results)
        in_place = tuple(
            (result, operand)
            for result in range(len(results))
            for operand, format_ in enumerate(operands)
            if format_ is not None and rng.random() < 0.6
        )
        workspace = rng.choice([0, 0, 100])
        return Candidate(f"wild {index}", operands, results, workspace, in_place=in_place)

    def _format(self, value: Value, kinds: Sequence[Strides], rng: random.Random) -> Format:
        order = list(range(value.tensor.rank))
        if rng.random() < 0.5:
            rng.shuffle(order)
        alignment = rng.choice(self.alignments)
        return Format(value.tensor.dtype, tuple(order), rng.choice(kinds), alignment)

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return [v.data for v in node.operands if v is not None and v.data is not None]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        offer = self._candidate(node, int(candidate.removeprefix("wild ")))
        constants = iter(memory.constants)
        operands = [
            next(constants) if v is not None and v.data is not None else array
            for v, array in zip(node.operands, memory.operands, strict=True)
        ]
        arrays = (*memory.operands, *memory.results)
        for format_, array in zip((*offer.operands, *offer.results), arrays, strict=True):
            if format_ is not None:
                layout = Layout(DType.of(array.dtype), array.shape, array.strides)
                assert format_.accepts(layout, array.__array_interface__["data"][0]), layout

        def launch() -> None:
            found = [np.array(result) for result in _compute(node, operands)]
            memory.workspace[...] = 0xA5
            for result, array in zip(memory.results, found, strict=True):
                np.copyto(result, array)

        return [launch]


def _compute(node: Node, operands: Sequence[Any]) -> Sequence[Any]:
    if node.op.name == "group":
        [body] = node.op.subgraphs().values()
        return run_graph(body, operands)
    return as_tuple(node.op.compute(*operands))


@dataclass(frozen=True)
class Choice:
    """A plan, what it carries out, and with which kernels."""

    plan: Plan
    formulation: Formulation
    solution: Solution
    providers: Sequence[NamedProvider]


def choose(
    graph: Graph,
    seed: int,
    storage: frozenset[DType] = frozenset(),
    alignments: tuple[int, ...] = (1,),
) -> Choice:
    """What random prices make of a graph, on one to three streams."""
    providers = list(INSTALLED) if seed % 4 else []
    if seed % 3:
        providers.append(NamedProvider("erratic", Erratic(seed, alignments)))
    providers.append(REFERENCE)
    ways = find_ways(expand(graph), HOST, providers, storage)
    formulation = formulate(ways, RandomPrices(seed))
    [solution] = solve(formulation.problem)
    decisions, _ = decisions_of(formulation, solution)
    plan = assemble(replace(decisions, streams=1 + seed % 3), packer(providers))
    kept = [place.storage for place in plan.outputs if isinstance(place, Region)]
    assert not find_races(plan.steps, plan.storages, arena=plan.arena, kept=kept)
    return Choice(plan, formulation, solution, providers)


def check(
    context: HostContext,
    runs: Sequence[Sequence[Array]],
    answers: Sequence[Sequence[Array]],
    tolerance: float = 1e-9,
    bound: bool = False,
) -> None:
    """Run on each of several inputs; outputs are new arrays, or those that are bound."""
    for inputs, rights in zip(runs, answers, strict=True):
        before = [array.copy() for array in inputs]
        if bound:
            out = [np.full_like(array, 7) for array in rights]
            found = context.run_bound(inputs, out)
            assert all(one is other for one, other in zip(found, out, strict=True))
        else:
            found = context.run(inputs)
        for index, (one, right) in enumerate(zip(found, rights, strict=True)):
            assert not any(np.may_share_memory(one, x) for x in (*inputs, *found[:index]))
            floor = tolerance * np.sqrt(right.size)  # where everything cancels out
            with np.errstate(invalid="ignore"):  # of two infinities
                difference = one.astype(np.float64) - right
            if not np.linalg.norm(difference) <= floor:
                compare(f"output {index}", one, right, tolerance)
        for one, other in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(one, other)


@settings(max_examples=150)
@given(GRAPHS, SEEDS, st.booleans())
def test_any_choice_gives_what_the_references_give(
    tmp_path_factory: pytest.TempPathFactory, graph: Graph, seed: int, optimized: bool
) -> None:
    rng = np.random.default_rng(seed)
    runs = [random_inputs(graph, rng) for _ in range(2)]
    answers = [run_graph(graph, inputs) for inputs in runs]
    graph = clone_graph(graph)
    if optimized:
        optimize(graph)
    choice = choose(graph, seed)
    context = HostContext(choice.plan, choice.providers)
    check(context, runs, answers)
    check(context, runs, answers, bound=True)
    check(context, runs, answers)
    path = tmp_path_factory.mktemp("engine") / "a.gie"
    [plan] = _saved(Package(graph, (choice.plan,), "host"), path).plans
    check(HostContext(plan, choice.providers), runs, answers)


def _saved(package: Package, path: Path) -> Package:
    save_package(package, path)
    return load_package(path, default_host().ops())


@settings(max_examples=50)
@given(F32_GRAPHS, SEEDS)
def test_values_may_be_stored_narrower(graph: Graph, seed: int) -> None:
    inputs = random_inputs(graph, np.random.default_rng(seed))
    choice = choose(graph, seed, frozenset({DType.F16}))
    check(HostContext(choice.plan, choice.providers), [inputs], [run_graph(graph, inputs)], 0.05)


@settings(max_examples=50)
@given(GRAPHS, SEEDS)
def test_kernels_get_the_alignment_that_they_ask_for(graph: Graph, seed: int) -> None:
    inputs = random_inputs(graph, np.random.default_rng(seed))
    choice = choose(graph, seed, alignments=(1, 16, 64))
    check(HostContext(choice.plan, choice.providers), [inputs], [run_graph(graph, inputs)])


@settings(max_examples=50)
@given(GRAPHS, SEEDS)
def test_states_are_carried_from_run_to_run(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    _add_states(graph, random.Random(seed))
    states = [state.input for state in graph.states]
    runs = [random_inputs(graph, rng) for _ in range(3)]
    answers = list(_run_with_states(graph, runs))
    choice = choose(graph, seed)
    context = HostContext(choice.plan, choice.providers)
    for bound in (False, True):
        context.reset()
        for inputs, right in zip(runs, answers, strict=True):
            given = [
                None if value in states else array
                for value, array in zip(graph.inputs, inputs, strict=True)
            ]
            out = [np.empty_like(array) for array in right]
            found = context.run_bound(given, out) if bound else context.run(given)
            for one, other in zip(found, right, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def _add_states(graph: Graph, rng: random.Random) -> None:
    outputs = dict(zip(graph.output_names, graph.outputs, strict=True))
    for value in graph.inputs:
        successors = [v for v in graph.values() if v.type == value.type and v.data is None]
        if rng.random() < 0.7:
            successor = rng.choice(successors)
            graph.add_state(value, successor)
            if successor not in outputs.values():
                outputs[f"next {value.name}"] = successor
    graph.set_outputs(outputs.items())


def _run_with_states(graph: Graph, runs: Sequence[Sequence[Array]]) -> Iterator[list[Array]]:
    states = {s.input: np.zeros(extents(s.input), s.input.tensor.dtype.numpy) for s in graph.states}
    for inputs in runs:
        pairs = zip(graph.inputs, inputs, strict=True)
        answers = run_graph(graph, [states.get(value, array) for value, array in pairs])
        yield answers
        known = dict(zip(graph.outputs, answers, strict=True))
        states = {state.input: known[state.output] for state in graph.states}


# ── What is paid for is what is made ────────────────────────────────────────────────────


@settings(max_examples=100)
@given(GRAPHS, SEEDS)
def test_copies_that_are_made_were_priced_and_the_other_way_round(graph: Graph, seed: int) -> None:
    choice = choose(graph, seed)
    assert Counter(_made(choice.plan)) == Counter(_priced(choice))


def _made(plan: Plan) -> Iterator[tuple[DType, tuple[int, ...]]]:
    """Type and shape of every copy in a plan."""
    for step in plan.steps:
        if not step.provider:
            [place] = step.results
            assert isinstance(place, Region)
            yield place.layout.dtype, place.layout.shape


def _priced(choice: Choice) -> Iterator[tuple[DType, tuple[int, ...]]]:
    """Type and shape of every copy in a solution, but for those that only callers read."""
    formulation, problem = choice.formulation, choice.formulation.problem
    options = {option.key: option for option in problem.options}
    read = {stored for key in choice.solution.options for stored in options[key].reads}
    values = {number: value for value, number in formulation.values.items()}
    for reformat in choice.solution.reformats:
        if (reformat.value, reformat.target) in read:
            layout = formulation.ways.layouts[values[reformat.value]][reformat.target]
            yield layout.dtype, layout.shape
    for key in choice.solution.options:
        meaning = formulation.meaning[key]
        if isinstance(meaning, Part) and meaning.copied is not None:
            operand = meaning.piece.node.operands[meaning.index]
            assert operand is not None
            yield operand.tensor.dtype, extents(operand)


@dataclass(frozen=True)
class DearCopies(RandomPrices):
    """Kernels cost 1, copies a fortune."""

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int:
        return 1

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        return 10**6


def test_a_kernel_for_a_concatenation_pays_for_no_copies() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[2, 3] %y = concat(%x, %x) {axis = 0} return %y }", core_ops()
    )
    formulation = formulate(find_ways(expand(graph), HOST, [REFERENCE]), DearCopies(0))
    assert solve(formulation.problem)[0].time == 1
