"""Engine files: what is written is read again, and what nobody wrote is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings

import gie_core
from gie_core.engine.container import (
    EngineFileError,
    Section,
    read_container,
    write_container,
)
from gie_core.engine.file import Package, ProviderVersion, load_package, save_package
from gie_core.engine.plan import Plan
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import Array, DType
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import REFERENCE, ReferenceProvider
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost
from gie_core.runtime.host import HostExecutor
from gie_core.testing.graphs import random_graphs, random_inputs

OPS = core_ops()
HOST = PluginHost(entry_points=[])
PROVIDERS = [NamedProvider(REFERENCE, ReferenceProvider())]
TEXT = """
graph net {
  input %x: f32[n, 8]
  const %w: f32[8, 4] = blob "w"
  %a: f32[n, 4] = matmul(%x, %w) from "Gemm_0"
  %b: f32[n, 4] = exp(%a)
  %c: f32[n, 8] = concat(%a, %b) {axis = 1}
  %d: f32[8, n] = transpose(%c) {permutation = [1, 0]}
  return %c, %d as "turned"
}
"""


def array(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network() -> Graph:
    return parse_graph(TEXT, OPS, {"w": array(8, 4)})


def package() -> Package:
    """Two profiles of a small network, with something in every field."""
    shapes = [{"x": [3, 8]}, {"x": [1, 8]}]
    built = gie_core.build(network(), host=HOST, shapes=shapes).package
    return replace(
        built,
        providers=(ProviderVersion("cpu", "acme-cpu", "1.2"),),
        report={"nodes": 4, "times": [1.5, None], "names": {"ä": "☃"}},
        metadata={"author": "Noether"},
    )


def saved(package: Package, path: Path) -> bytes:
    save_package(package, path)
    return path.read_bytes()


# ── Round trips ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "net.gie"
    save_package(package(), target)
    return target


def test_round_trip(path: Path) -> None:
    original, read = package(), load_package(path, OPS)
    assert format_graph(read.graph) == format_graph(original.graph)
    assert read.providers == original.providers
    assert (read.report, read.metadata) == (original.report, original.metadata)
    assert (read.target, read.gie, read.native) == ("host", gie_core.__version__, {})
    assert read.digest == read_container(path).digest
    assert len(read.plans) == 2
    for new, old in zip(read.plans, original.plans, strict=True):
        assert format_graph(new.graph) == format_graph(old.graph)
        assert described(new) == described(old)
        for ours, theirs in zip(new.weights, old.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def described(plan: Plan) -> tuple[Any, ...]:
    """A plan without what compares by identity."""
    nodes = list(plan.graph.nodes)
    steps = [(nodes.index(s.node), replace(s, node=cast("Any", None))) for s in plan.steps]
    plain = (plan.storages, plan.arena, plan.inputs, plan.outputs, plan.slots, plan.fixed)
    return (steps, *plain, plan.sizes)


@settings(max_examples=60)
@given(random_graphs())
def test_random_graphs_run_alike_after_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, graph: Graph
) -> None:
    inputs = random_inputs(graph, np.random.default_rng(0), {"n": 3})
    shapes = {v.name: x.shape for v, x in zip(graph.inputs, inputs, strict=True)}
    engine = gie_core.build(graph, host=HOST, shapes=shapes, optimized=False)
    path = tmp_path_factory.mktemp("engine") / "a.gie"
    content = saved(engine.package, path)
    read = load_package(path, OPS)
    assert saved(read, path) == content
    [plan] = read.plans
    executor = HostExecutor(read.graph, read.plans, PROVIDERS)
    found = executor.context(plan.sizes).run(inputs)
    expected = engine.run({v.name: x for v, x in zip(graph.inputs, inputs, strict=True)})
    for ours, theirs in zip(found, expected.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_equal_packages_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    assert saved(package(), tmp_path / "other.gie") == path.read_bytes()


def test_weights_are_mapped_shared_and_kept_once(path: Path) -> None:
    read = load_package(path, OPS)
    [constant] = [v for v in read.graph.constants if v.name == "w"]
    [section] = read_container(path).sections
    assert section.data.size == 8 * 4 * 4
    assert constant.data is not None
    assert not constant.data.flags.writeable
    addresses = {w.__array_interface__["data"][0] for plan in read.plans for w in plan.weights}
    assert addresses == {constant.data.__array_interface__["data"][0]}


ARRAYS: dict[str, Array] = {
    **{
        str(dtype): np.arange(24).reshape(2, 3, 4).astype(dtype.numpy)
        for dtype in DType
        if dtype not in (DType.STR, DType.F8E8M0, DType.F4E2M1)
    },
    "f8e8m0": np.array([1, 2, 4], ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.array([1, 2, 4], ml_dtypes.float4_e2m1fn),
    "scalar": np.array(7.0),
    "empty": np.zeros((3, 0, 2), np.float32),
    "NaN with a payload": np.array([0x7FC12345], np.uint32).view(np.float32),
    "strings": np.array([["a", "ä\n"], ["", "\ud800"]], np.object_),
    "one axis": np.arange(40),
}
ORDERS: dict[str, Array] = {
    "transposed": array(5, 7).T,
    "channels last": array(2, 5, 6, 3).transpose(0, 3, 1, 2),
    "with extents of 1": array(1, 5, 1, 3).transpose(2, 3, 0, 1),
    "with gaps": array(6, 8)[:, ::2],
    "reversed": array(6, 8)[::-1],
    "broadcast": np.broadcast_to(array(4), (3, 4)),
    "big-endian": array(3, 30).astype(">f4"),
}


@pytest.mark.parametrize("data", [*ARRAYS.values(), *ORDERS.values()], ids=[*ARRAYS, *ORDERS])
def test_arrays(tmp_path: Path, data: Array) -> None:
    graph = parse_graph("graph g { input %x: f32[2] return %x }", OPS)
    graph.add_constant(data.astype(DType.of(data.dtype).numpy), "c")
    plan = replace(gie_core.build(graph, host=HOST).package.plans[0], weights=(data,))
    save_package(Package(graph, (plan,), "host"), tmp_path / "a.gie")
    read = load_package(tmp_path / "a.gie", OPS)
    for found in (read.plans[0].weights[0], read.graph.constants[0].data):
        assert found is not None
        assert (found.shape, DType.of(found.dtype)) == (data.shape, DType.of(data.dtype))
        assert found.tolist() == data.tolist() or found.tobytes() == data.tobytes()
        assert not found.flags.writeable


@pytest.mark.parametrize("name", ["transposed", "channels last", "with extents of 1"])
def test_dense_weights_keep_their_order_in_memory(tmp_path: Path, name: str) -> None:
    data = ORDERS[name]
    built = package()
    plan = replace(built.plans[0], weights=(*built.plans[0].weights, data))
    save_package(replace(built, plans=(plan,)), tmp_path / "a.gie")
    *_, found = load_package(tmp_path / "a.gie", OPS).plans[0].weights
    moving = [axis for axis in range(data.ndim) if data.shape[axis] > 1]
    assert [found.strides[a] for a in moving] == [data.strides[a] for a in moving]


def test_a_report_has_null_for_what_json_lacks(tmp_path: Path) -> None:
    report = {"error": float("nan"), "times": (1.0, float("inf"))}
    save_package(replace(package(), report=report), tmp_path / "a.gie")
    assert load_package(tmp_path / "a.gie", OPS).report == {"error": None, "times": [1.0, None]}


def test_loading_imports_nothing_heavy(path: Path) -> None:
    code = (
        "import sys\n"
        "from gie_core.engine.file import load_package\n"
        "from gie_core.ops import core_ops\n"
        "load_package(sys.argv[1], core_ops())\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    rooms = {"gie_core.builder", "gie_core.cli", "gie_core.plugin", "gie_core.testing"}
    assert not loaded & {"scipy", "click", "rich", "onnx", "PIL", "pluggy", "tempfile", *rooms}


# ── Does it fit? ────────────────────────────────────────────────────────────────────────

CPU = ProviderVersion("cpu", "acme-cpu", "1.2")
USES: list[tuple[str, list[ProviderVersion], str]] = [
    ("host", [CPU, ProviderVersion("other", "x", "1")], ""),
    ("cuda:sm_90", [CPU], "built for host, not for cuda:sm_90; load it with rebuild=True"),
    ("host", [], "runs kernels of acme-cpu 1.2, which is not installed; install it"),
    ("host", [CPU._replace(version="1.3")], "with acme-cpu 1.2, but acme-cpu 1.3 is installed"),
    ("host", [CPU._replace(plugin="bcme")], "with acme-cpu 1.2, but bcme 1.2 is installed"),
]


@pytest.mark.parametrize(("target", "installed", "message"), USES)
def test_who_may_run_it(target: str, installed: list[ProviderVersion], message: str) -> None:
    if not message:
        package().check_usable("net.gie", target, installed)
        return
    with pytest.raises(EngineFileError) as caught:
        package().check_usable("net.gie", target, installed)
    assert message in str(caught.value)


def test_an_op_that_is_not_installed_is_named(path: Path) -> None:
    edited(path, lambda body: body["graphs"].__setitem__(0, "graph g { %y = acme.swish() }"))
    with pytest.raises(EngineFileError, match=r"there is no op 'acme.swish'.*install the plugins"):
        load_package(path, OPS)


def test_a_newer_minor_version_may_say_more(path: Path) -> None:
    edited(path, lambda body: body.update({"format": [1, 9], "more": 1}))
    assert load_package(path, OPS).metadata == {"author": "Noether"}
    edited(path, lambda body: body.update({"format": [1, 0]}))
    with pytest.raises(EngineFileError, match="there is no entry 'more'"):
        load_package(path, OPS)


def test_a_plan_of_another_network_is_refused(tmp_path: Path) -> None:
    other = parse_graph("graph g { input %x: f32[4] return %x }", OPS)
    plans = gie_core.build(other, host=HOST).package.plans
    with pytest.raises(EngineFileError, match="inputs, outputs and states are not those"):
        save_package(Package(network(), plans, "host"), tmp_path / "a.gie")


def test_a_graph_that_is_wrong_is_refused(path: Path) -> None:
    text = "graph g { input %x: f32[4] %y: f32[5] = neg(%x) return %y }"
    edited(path, lambda body: body["graphs"].__setitem__(0, text))
    with pytest.raises(EngineFileError, match=r"a graph in .* cannot be read"):
        load_package(path, OPS)


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the body of a file, and make all hashes right again."""
    content = read_container(path)
    body = copy.deepcopy(content.body)
    sections = [Section(s.data.copy(), s.digest, s.kind, s.checksum) for s in content.sections]
    edit(body)
    write_container(path, body, sections)


# ── Native code ─────────────────────────────────────────────────────────────────────────

CODE = np.frombuffer(b"\x7fELF and so on", np.uint8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_native_code_of_this_user_is_taken(path: Path, home: Path) -> None:
    digest = save_package(replace(package(), native={"kernel": CODE}), path)
    read = load_package(path, OPS, verify_weights=False)
    assert read.native["kernel"].tobytes() == CODE.tobytes()
    assert read.digest == digest


def test_native_code_of_others_needs_trust(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_package(replace(package(), native={"kernel": CODE}), path)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "somebody"))
    with pytest.raises(EngineFileError, match=r"trust=True .* rebuild=True"):
        load_package(path, OPS)
    assert load_package(path, OPS, trust=True).native.keys() == {"kernel"}
    assert load_package(path, OPS, native=False).native == {}


def test_changed_native_code_is_not_known(path: Path, home: Path) -> None:
    save_package(replace(package(), native={"kernel": CODE}), path)
    edited(path, lambda body: body["metadata"].update(author="Mallory"))
    with pytest.raises(EngineFileError, match="was not written here"):
        load_package(path, OPS)


def test_data_is_not_code(path: Path, home: Path) -> None:
    edited(path, lambda body: body["native"].update(kernel=0))
    with pytest.raises(EngineFileError, match="native, kernel: its section is not native code"):
        load_package(path, OPS, trust=True)


def test_weights_of_the_same_bytes_do_not_hide_code(path: Path, home: Path) -> None:
    weights = array(8, 4)
    code = weights.reshape(-1).view(np.uint8)
    save_package(replace(package(), native={"kernel": code}), path)
    assert load_package(path, OPS).native["kernel"].tobytes() == weights.tobytes()
    assert [s.kind for s in read_container(path).sections] == ["native"]


def test_a_host_engine_leaves_no_trace(path: Path, home: Path) -> None:
    save_package(package(), path)
    assert not home.exists()
