"""Contexts and engines: memory that is lent, states, odd graphs, threads, failures."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gie_core
from gie_core.builder.decide import decisions_of
from gie_core.builder.expand import expand
from gie_core.builder.formulate import formulate
from gie_core.builder.prices import ModelPrices
from gie_core.builder.strategy import solve
from gie_core.builder.ways import find_ways
from gie_core.engine.assemble import assemble
from gie_core.engine.file import Package
from gie_core.executors import HostMaker
from gie_core.ir.graph import Graph, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, type_of
from gie_core.kernels.candidate import Support
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.ops.run import ExecutionError, run_graph
from gie_core.ops.shape import Concat
from gie_core.plugin.host import PluginHost
from gie_core.runtime.context import HostContext
from gie_core.runtime.replan import packer
from gie_core.runtime.target import HOST as TARGET

HOST = PluginHost(entry_points=[])


def engine_of(text: str, **options: Any) -> gie_core.Engine:
    graph = parse_graph(f"graph g {{ {text} }}", core_ops())
    return gie_core.build(graph, host=HOST, **options)


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


# ── Memory of the caller ────────────────────────────────────────────────────────────────

SHARING = [
    'return %y, %y as "b"',
    "%v = reshape(%y) {shape = [2, 1]} return %y, %v",
    "return %x, %y",
]


@pytest.mark.parametrize("end", SHARING)
def test_outputs_in_one_storage_are_all_written(end: str) -> None:
    engine = engine_of(f"input %x: f32[2] %y = neg(%x) {end}")
    x = floats(1, 2)
    outputs = {name: np.full_like(array, 7) for name, array in engine(x).items()}
    engine.context().bind({"x": x}, outputs)()
    for name, array in engine(x).items():
        np.testing.assert_array_equal(outputs[name], array, err_msg=name)


# ── States ──────────────────────────────────────────────────────────────────────────────

DELAYS = [
    ("what a state was", "%z = neg(%x) state %s -> %x return %s, %x, %z", [0, 1, 2]),
    ("a view of it", '%v = reshape(%s) {shape = [1, 1]} state %s -> %x return %v as "s", %x',
     [0, 1, 2]),
    ("no node", "state %s -> %x return %s, %x", [0, 1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "found"), DELAYS, ids=[d[0] for d in DELAYS])
def test_outputs_show_states_before_the_next_run(what: str, text: str, found: list[float]) -> None:
    context = engine_of(f"input %x: f32[1] input %s: f32[1] {text}").context()
    assert [float(context(floats(n))["s"].item()) for n in (1, 2, 3)] == found, what


def test_a_graph_of_states_alone_is_timed_too() -> None:
    text = "input %x: f32[1] input %s: f32[1] state %s -> %x return %s, %x"
    context = engine_of(text, timing=True).context()
    assert [float(context(floats(n))["s"].item()) for n in (1, 2)] == [0, 1]


SUM = """input %x: f32[n] input %s: f32[1] %m = reduce_sum(%x) {axes = [0]}
  %t = add(%m, %s) state %s -> %t return %t"""
KEPT = "input %x: f32[n] input %s: f32[n] %t = add(%x, %s) state %s -> %t return %t"


def test_states_go_along_when_sizes_change() -> None:
    context = engine_of(SUM).context()
    sizes = [1, 2, 3, 4, 5, 6, 1, 2]  # more than a context keeps memory for
    found = [float(context(np.ones(n, np.float32))[0]) for n in sizes]
    assert found == np.cumsum(sizes).tolist()


def test_states_go_along_from_bound_memory_and_back() -> None:
    context = engine_of(SUM).context()
    out = floats(0)
    bound = context.bind({"x": floats(1, 1)}, {"t": out})

    def run() -> float:
        bound()
        return float(out[0])

    assert [run(), float(context(floats(1, 1, 1))[0]), run()] == [2, 5, 7]
    context.reset()
    assert run() == 2


def test_states_that_do_not_fit_any_more() -> None:
    context = engine_of(KEPT).context()
    context(floats(1, 2))
    with pytest.raises(ExecutionError, match=r"state 's' has the shape \[2\], but .* \[3\]; reset"):
        context(floats(1, 2, 3))
    np.testing.assert_array_equal(context(floats(1, 2, 3), floats(1, 1, 1)), [2, 3, 4])
    context.reset()
    np.testing.assert_array_equal(context(floats(1, 2, 3)), [1, 2, 3])


def test_states_of_unknown_size_have_to_be_given() -> None:
    context = engine_of("input %s: f32[k] %t = neg(%s) state %s -> %t return %t").context()
    with pytest.raises(ExecutionError, match=r"no input says what k stands for; give the state"):
        context()
    np.testing.assert_array_equal(context(floats(1, 2)), [-1, -2])


def test_an_engine_starts_anew_after_each_run() -> None:
    engine = engine_of(SUM)
    assert [float(engine(floats(1, 2))[0]) for _ in range(2)] == [3, 3]


# ── Failures, threads, memory ───────────────────────────────────────────────────────────


class Sometimes(ArrayProvider):
    """Runs ``neg``, and raises what it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def accepts(self, node: Node) -> Support:
        return Support(node.op.name == "neg", "not neg")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        if self.error is not None:
            raise self.error
        np.negative(operands[0], out=out[0])


def failing(text: str, streams: int = 1) -> tuple[Sometimes, gie_core.Engine]:
    """An engine whose ``neg`` may fail."""
    provider = Sometimes()
    providers = [NamedProvider("sometimes", provider), NamedProvider("r", ReferenceProvider())]
    graph = parse_graph(f"graph g {{ {text} }}", core_ops())
    ways = find_ways(expand(graph), TARGET, providers)
    formulation = formulate(ways, ModelPrices(TARGET))
    decisions, _ = decisions_of(formulation, solve(formulation.problem)[0])
    plan = assemble(replace(decisions, streams=streams), packer(providers))
    package = Package(graph, (plan,), "host")
    return provider, gie_core.Engine(package, HostMaker(providers, HOST))


SLOTS = "%i: i64[1, k] = nonzero(%y) %j: i64[1, k] = neg(%i) return %t, %j"
FAILURES = [
    ("a state", "%z = neg(%t) return %t, %z", 1),
    ("slots", SLOTS, 1),
    ("streams", "%z = neg(%t) %w = exp(%x) %v = neg(%w) return %t, %z, %v", 2),
]


@pytest.mark.parametrize("error", [ValueError("v"), KeyboardInterrupt()], ids=["error", "break"])
@pytest.mark.parametrize(("what", "end", "streams"), FAILURES, ids=[f[0] for f in FAILURES])
def test_engines_run_again_after_a_failure(
    what: str, end: str, streams: int, error: BaseException
) -> None:
    text = "input %x: f32[2] input %s: f32[2] %t = add(%x, %s) state %s -> %t %y = neg(%x) "
    provider, engine = failing(text + end, streams)
    x = floats(1, 2)
    right = engine(x)
    provider.error = error
    wanted = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ExecutionError
    for _ in range(3):
        with pytest.raises(wanted):
            engine(x)
    provider.error = None
    for name, array in engine(x).items():
        np.testing.assert_array_equal(array, right[name], err_msg=what)


def test_threads_share_an_engine_at_many_sizes() -> None:
    engine = engine_of(SUM)

    def work(seed: int) -> bool:
        sizes = np.random.default_rng(seed).integers(1, 40, 50)
        return all(float(engine(np.ones(n, np.float32))[0]) == n for n in sizes)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


@pytest.mark.parametrize("end", ["return %y", "%n: i64[1, k] = nonzero(%y) return %n"])
def test_memory_is_free_as_soon_as_nobody_has_the_context(end: str) -> None:
    engine = engine_of(f"input %x: f32[4] %y = exp(%x) {end}")
    [plan] = engine.package.plans
    context = HostContext(plan, [NamedProvider("reference", ReferenceProvider())])
    x = floats(1, 2, 3, 4)
    context.run([x])
    memory, used = weakref.ref(context), sys.getrefcount(x)
    gc.disable()
    try:
        del context
        assert memory() is None
    finally:
        gc.enable()
    assert sys.getrefcount(x) == used


# ── Wrong arrays ────────────────────────────────────────────────────────────────────────


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


WRONG: list[tuple[Any, str]] = [
    ([0, 0], "but is list"),
    (np.zeros(2), r"but is float64\[2\]"),
    (np.zeros(3, np.float32), r"must be a writable array of f32\[2\], but is float32\[3\]"),
    (np.zeros((1, 2), np.float32), r"but is float32\[1, 2\]"),
    (np.zeros(2, ">f4"), "but is >f4"),
    (read_only(floats(0, 0)), "but is read-only float32"),
]


@pytest.mark.parametrize(("out", "message"), WRONG, ids=[str(w[1]) for w in WRONG])
def test_wrong_outputs_are_refused_at_once(out: Any, message: str) -> None:
    engine = engine_of("input %x: f32[2] %y = neg(%x) return %y")
    with pytest.raises(ExecutionError, match=message):
        engine.run({"x": floats(1, 2)}, {"y": out})
    with pytest.raises(ExecutionError, match=message):
        engine.context().bind({"x": floats(1, 2)}, {"y": out})


def test_outputs_of_unknown_size_can_not_be_given() -> None:
    engine = engine_of("input %x: f32[2] %y: i64[1, k] = nonzero(%x) return %y")
    with pytest.raises(ExecutionError, match="out for %y can't be given: its size is known too"):
        engine.run({"x": floats(1, 0)}, {"y": np.zeros((1, 1), np.int64)})


BYTES = np.zeros(64, np.uint8)
ODD: list[tuple[str, Array, Array]] = [
    ("strided", floats(1, 0, 2, 0)[::2], np.zeros(4, np.float32)[1::2]),
    ("reversed", floats(2, 1)[::-1], np.zeros(2, np.float32)[::-1]),
    ("unaligned", floats(1, 2), BYTES[1:9].view(np.float32)),
    ("read only", read_only(floats(1, 2)), floats(0, 0)),
]


@pytest.mark.parametrize(("what", "x", "out"), ODD, ids=[o[0] for o in ODD])
def test_odd_arrays_are_copied(what: str, x: Array, out: Array) -> None:
    engine = engine_of("input %x: f32[2] %y = neg(%x) return %y")
    bound = engine.context().bind({"x": x}, {"y": out})
    for _ in range(2):
        assert bound()["y"] is out
        np.testing.assert_array_equal(out, [-1, -2], err_msg=what)


def test_arrays_that_overlap_are_copied() -> None:
    engine = engine_of("input %x: f32[2] %y = neg(%x) return %y")
    memory = floats(1, 2, 0)
    engine.context().bind({"x": memory[:2]}, {"y": memory[1:]})()
    np.testing.assert_array_equal(memory, [1, -1, -2])


# ── Odd graphs ──────────────────────────────────────────────────────────────────────────

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)
CONSTANTS = {
    "reversed": NUMBERS[::-1],
    "strided": NUMBERS[:, ::2],
    "transposed": NUMBERS.T,
    "repeated": np.broadcast_to(NUMBERS[:, :1], (3, 4)),
}


GRAPHS = [
    ("no element", "input %x: f32[0, 3] %y = neg(%x) %z = concat(%x, %y) {axis = 0} "
     "%r = reduce_sum(%x) {axes = [0]} return %y, %z, %r", [np.zeros((0, 3), np.float32)]),
    ("a scalar", "input %x: f32[] %y = neg(%x) %z = exp(%y) return %z", [np.array(3, np.float32)]),
    ("an input nobody reads", "input %x: f32[2] input %u: f32[3] %y = neg(%x) return %y",
     [floats(1, 2), floats(1, 2, 3)]),
    ("an input as output", "input %x: f32[2] return %x", [floats(1, 2)]),
    ("constants as outputs", 'input %x: f32[1] const %c: f32[2] = [1, 2] '
     'const %s: str[1] = ["a"] return %c, %s, %c as "d"', [floats(1)]),
    ("one value as two outputs", 'input %x: f32[2] %y = neg(%x) return %y, %y as "b"',
     [floats(1, 2)]),
    ("a node nobody reads", "input %x: f32[2] %y = neg(%x) %z = exp(%x) return %y",
     [floats(1, 2)]),
    ("strings", "input %x: str[2] %y = concat(%x, %x) {axis = 0} return %y, %x",
     [np.array(["a", "b"], np.object_)]),
    ("a sequence", "input %x: seq<f32[2]> return %x", [[floats(1, 2)]]),
]  # fmt: skip


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(("what", "text", "inputs"), GRAPHS, ids=[g[0] for g in GRAPHS])
def test_odd_graphs(
    tmp_path: Path, what: str, text: str, inputs: list[Any], optimized: bool
) -> None:
    graph = parse_graph(f"graph g {{ {text} }}", core_ops())
    right: dict[str, Any] = dict(zip(graph.output_names, run_graph(graph, inputs), strict=True))
    engine = gie_core.build(graph, host=HOST, optimized=optimized)
    engine.save(tmp_path / "a.gie")
    named = {info.name: array for info, array in zip(engine.inputs, inputs, strict=True)}
    for each in (engine, gie_core.load(tmp_path / "a.gie", host=HOST)):
        for found in (each.run(named), each.run(named, _made_for(right))):
            assert found.keys() == right.keys()
            for name in right:
                np.testing.assert_array_equal(found[name], right[name], err_msg=what)
        out = _made_for(right)
        each.context().bind(named, out)()
        for name, array in out.items():
            np.testing.assert_array_equal(array, right[name], err_msg=what)


def _made_for(right: dict[str, Any]) -> dict[str, Array]:
    """Arrays that an engine is to write, full of something else."""
    return {
        name: np.full_like(array, "?" if array.dtype == object else 7)
        for name, array in right.items()
        if not isinstance(array, list)
    }


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_lie_oddly(name: str) -> None:
    data = CONSTANTS[name].view()
    data.flags.writeable = False
    graph = Graph("g")
    x = graph.add_input("x", type_of(data))
    constant = graph.add_constant(data)
    graph.set_outputs([graph.add(Concat(axis=0), x, constant).result, constant])
    whole, alone = gie_core.build(graph, host=HOST)(data).values()
    np.testing.assert_array_equal(whole, np.concatenate([data, data]))
    np.testing.assert_array_equal(alone, data)
