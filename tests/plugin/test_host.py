"""The plugin host: good plugins serve, bad ones are named and harm nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import pytest

import gie_core
from gie_core.builder.pipeline import installed_passes
from gie_core.builder.report import PassRecord
from gie_core.builder.tuner import TunerOptions
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.plugin.config import blocked_plugins
from gie_core.plugin.host import Plugin, PluginHost, PluginWarning, Status
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import HOST

HEADER = "from gie_core.plugin import *\n"
GOOD = """
@hookimpl
def gie_ops():
    return [OpsDeclaration(name="good-ops", factory="{module}:OPS")]

@hookimpl
def gie_passes():
    return [PassDeclaration(name="good-pass", factory="{module}:Nothing")]

def __getattr__(name):
    if name != "OPS":
        raise AttributeError(name)
    from gie_core.ir.op import Op
    class Swish(Op, name="{module}.swish"):
        def infer(self, x):
            return x
    return [Swish]
"""


class Plugins:
    """Writes plugin modules and makes hosts that see them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entry_points: list[EntryPoint] = []

    def add(self, name: str, code: str) -> None:
        module = f"gie_test_plugin_{name}"
        text = HEADER + code.replace("{module}", module)
        (self.folder / f"{module}.py").write_text(text, encoding="utf-8")
        self.entry_points.append(EntryPoint(name, module, "gie"))

    def host(self, *block: str) -> PluginHost:
        return PluginHost(block=block, entry_points=self.entry_points)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    yield Plugins(tmp_path)
    for module in [m for m in sys.modules if m.startswith("gie_test_plugin_")]:
        del sys.modules[module]


def plugin_of(host: PluginHost, name: str) -> Plugin:
    return next(p for p in host.plugins if p.name == name)


def test_a_plugin_provides_what_it_declares(plugins: Plugins) -> None:
    plugins.add("good", GOOD)
    host = plugins.host()
    assert plugin_of(host, "good").status is Status.ACTIVE
    assert [o.declaration.name for o in host.passes()] == ["good-pass"]
    assert host.passes()[0].plugin.name == "good"
    assert "gie_test_plugin_good.swish" in host.ops()


BAD = [
    ("import", "import no_such_module", "importing gie_test_plugin_bad raised ModuleNotFound"),
    ("syntax", "def", "importing gie_test_plugin_bad raised SyntaxError"),
    ("exit", "raise SystemExit(3)", "importing gie_test_plugin_bad raised SystemExit: 3"),
    ("raises", "@hookimpl\ndef gie_ops():\n    return 1 / 0", "a hook raised ZeroDivisionError"),
    ("list", "@hookimpl\ndef gie_ops():\n    return 'x'", "gie_ops must return a list of OpsD"),
    (
        "kind",
        "@hookimpl\ndef gie_ops():\n    return [PassDeclaration(name='p', factory='a:b')]",
        "gie_ops must return OpsDeclaration objects",
    ),
    (
        "name",
        "@hookimpl\ndef gie_ops():\n    return [OpsDeclaration(name='A b', factory='a:b')]",
        "the op set name 'A b' must be lower-case",
    ),
    (
        "factory",
        "@hookimpl\ndef gie_ops():\n    return [OpsDeclaration(name='a', factory='a.b')]",
        "must read 'package.module:attribute'",
    ),
    ("hook", "@hookimpl\ndef gie_optimizers():\n    return []", "no hook 'gie_optimizers'"),
    (
        "twice",
        "@hookimpl\ndef gie_ops():\n    return [OpsDeclaration(name='a', factory='a:b')] * 2",
        "it declares the op set 'a' twice; update it, or block it with --block bad",
    ),
    (
        "command",
        "@hookimpl\ndef gie_cli():\n    return [CommandDeclaration(name='run', factory='a:b')]",
        "gie has a command 'run' of its own; choose another name",
    ),
    ("quits", "@hookimpl\ndef gie_ops():\n    raise SystemExit(3)", "a hook raised SystemExit: 3"),
]


@pytest.mark.parametrize(("code", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_plugin_is_named_and_the_rest_go_on(
    plugins: Plugins, code: str, message: str
) -> None:
    plugins.add("bad", code)
    plugins.add("good", GOOD)
    with pytest.warns(PluginWarning, match="^plugin 'bad' is left out: "):
        host = plugins.host()
    bad = plugin_of(host, "bad")
    assert bad.status is Status.FAILED
    assert message in bad.error
    assert "block it with --block bad" in bad.error
    assert not bad.declarations
    assert len(host.passes()) == 1


LATE = [
    ("no_such_module:X", "cannot be loaded from no_such_module:X: ModuleNotFoundError"),
    ("gie_test_plugin_bad:missing", "has no attribute 'missing'"),
    ("gie_test_plugin_bad:NUMBER", "raised TypeError"),
    ("gie_test_plugin_bad:NUMBERS", "an op set must consist of Op classes, but 3 is none"),
    ("gie_test_plugin_bad:UNDOTTED", "the op name 'swish' must be a prefix, a dot and a name"),
    ("gie_test_plugin_bad:SPACED", "the op name 'acme.x y' must be a prefix, a dot and a name"),
    ("gie_test_plugin_bad:CLASHING", "raised OpError: two ops are called 'acme.swish'"),
]
OP_SETS = """
from gie_core.ir.op import Op
def op(name):
    class Test(Op, name=name):
        def infer(self, x):
            return x
    return Test
NUMBER = 3
NUMBERS = [op("acme.fine"), 3]
UNDOTTED = [op("acme.fine"), op("swish")]
SPACED = [op("acme.fine"), op("acme.x y")]
CLASHING = [op("acme.fine"), op("acme.swish"), op("acme.swish")]
"""


@pytest.mark.parametrize(("factory", "message"), LATE)
def test_what_cannot_be_loaded_fails_its_plugin_when_it_is_needed(
    plugins: Plugins, factory: str, message: str
) -> None:
    returned = f"[OpsDeclaration(name='x', factory='{factory}')]"
    code = f"{OP_SETS}@hookimpl\ndef gie_ops():\n    return {returned}"
    plugins.add("bad", code)
    plugins.add("good", GOOD)
    host = plugins.host()
    assert plugin_of(host, "bad").status is Status.ACTIVE
    with pytest.warns(PluginWarning, match="^plugin 'bad' is left out: "):
        ops = host.ops()
    assert "gie_test_plugin_good.swish" in ops
    assert "acme.fine" not in ops
    assert list(host.failures()) == ["bad"]
    assert message in plugin_of(host, "bad").error


def adapters(*names: str) -> str:
    declared = ", ".join(f"AdapterDeclaration(name={name!r}, factory='a:b')" for name in names)
    return f"@hookimpl\ndef gie_adapters():\n    return [{declared}]"


def test_of_two_plugins_that_declare_one_name_the_later_fails(plugins: Plugins) -> None:
    plugins.add("a", adapters("x"))
    plugins.add("b", adapters("y", "x"))
    plugins.add("c", adapters("y"))
    with pytest.warns(PluginWarning, match="plugin 'b' is left out"):
        host = plugins.host()
    assert host.failures() == {
        "b": "it and plugin 'a' both declare the adapter 'x'; update it, or block it with --block b"
    }
    assert [o.plugin.name for o in host.adapters()] == ["a", "c"]


def test_two_distributions_with_one_entry_point(plugins: Plugins) -> None:
    plugins.add("a", GOOD)
    plugins.entry_points.clear()
    for name in ("acme-one", "acme-two"):
        folder = plugins.folder / f"{name}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (folder / "entry_points.txt").write_text("[gie]\na = gie_test_plugin_a\n")
        plugins.entry_points.extend(Distribution.at(folder).entry_points)
    with pytest.warns(PluginWarning, match="plugin 'a' is left out"):
        host = plugins.host()
    assert [p.status for p in host.plugins] == [Status.ACTIVE, Status.FAILED]
    assert host.plugins[1].error == (
        "acme-one and acme-two both bring a plugin of this name; uninstall one"
    )
    assert len(host.passes()) == 1


PASSES = """
from gie_core.builder.passes import Pass
class Fine(Pass):
    name = "fine"
    def run(self, graph, rewriter): pass
class Broken(Fine):
    name = "later"
    def __init__(self): raise RuntimeError("boom")
class Kernels:
    pass
class BrokenKernels:
    def __init__(self): raise RuntimeError("boom")
@hookimpl
def gie_passes():
    return [
        PassDeclaration(name="fine", factory="{module}:Fine"),
        PassDeclaration(name="later", factory="{module}:{pass}"),
    ]
@hookimpl
def gie_kernel_providers():
    return [
        KernelProviderDeclaration(name="fine", factory="{module}:Kernels", order=1),
        KernelProviderDeclaration(name="later", factory="{module}:{provider}", order=2),
    ]
"""


def test_a_plugin_with_a_broken_pass_brings_none(plugins: Plugins) -> None:
    plugins.add("half", PASSES.replace("{pass}", "Broken").replace("{provider}", "Kernels"))
    host = plugins.host()
    with pytest.warns(PluginWarning, match="plugin 'half' is left out: .*Broken raised .*: boom"):
        assert installed_passes(host) == []
    report = gie_core.build(Graph("g"), host=host).report
    assert report is not None
    assert report.failed_plugins == host.failures() != {}


def test_a_plugin_with_a_broken_provider_brings_none(plugins: Plugins) -> None:
    plugins.add("half", PASSES.replace("{pass}", "Fine").replace("{provider}", "BrokenKernels"))
    host = plugins.host()
    with pytest.warns(PluginWarning, match="plugin 'half' is left out: .*BrokenKernels raised"):
        assert [p.name for p in kernel_providers(host, HOST)] == ["reference"]


def test_blocked_plugins_are_not_imported(plugins: Plugins) -> None:
    plugins.add("bad", "raise RuntimeError")
    host = plugins.host("bad")
    assert plugin_of(host, "bad").status is Status.BLOCKED
    assert "gie_test_plugin_bad" not in sys.modules


def test_blocking_what_is_not_there_is_noticed(plugins: Plugins) -> None:
    with pytest.warns(RuntimeWarning, match="nothing called 'nobody' to block"):
        plugins.host("nobody")


def test_what_a_silent_plugin_would_declare_may_be_blocked_too(plugins: Plugins) -> None:
    plugins.add("a", GOOD)
    assert not plugins.host("a", "a:x").passes()
    with pytest.warns(RuntimeWarning, match="nothing called 'a:x' to block"):
        plugins.host("a:x")


def test_one_thing_of_a_plugin_can_be_blocked(plugins: Plugins) -> None:
    plugins.add("good", GOOD)
    host = plugins.host("good:good-pass")
    assert plugin_of(host, "good").status is Status.ACTIVE
    assert not host.passes()
    assert "gie_test_plugin_good.swish" in host.ops()


def test_observers_see_records_and_cannot_stop_a_build(plugins: Plugins) -> None:
    plugins.add(
        "seeing", "SEEN = []\n@hookimpl\ndef gie_pass_finished(record):\n    SEEN.append(record)"
    )
    plugins.add("raising", "@hookimpl\ndef gie_pass_finished(record):\n    1 / 0")
    host = plugins.host()
    record = PassRecord("p", 0, 0.0, (), ())
    with pytest.warns(RuntimeWarning, match="observer of plugin 'raising' failed"):
        host.pass_finished(record)
    assert [record] == sys.modules["gie_test_plugin_seeing"].SEEN


def test_observers_of_builds(plugins: Plugins) -> None:
    plugins.add(
        "seeing",
        "SEEN = []\n"
        "@hookimpl\ndef gie_candidate_timed(candidate, node):\n    SEEN.append((node, candidate))\n"
        "@hookimpl\ndef gie_build_finished(report):\n    SEEN.append(report.nodes_after)",
    )
    graph = parse_graph("graph g { input %x: f32[2] %y = relu(%x) return %y }", core_ops())
    options = TunerOptions(seconds=0.1)
    gie_core.build(graph, host=plugins.host(), timing=options)
    assert sys.modules["gie_test_plugin_seeing"].SEEN == [("y", "NumPy"), 1]


def test_a_failed_plugin_observes_nothing(plugins: Plugins) -> None:
    plugins.add(
        "bad",
        "@hookimpl\ndef gie_pass_finished(record):\n    1 / 0\n"
        "@hookimpl\ndef gie_ops():\n    raise ValueError('in\\ntwo lines')",
    )
    with pytest.warns(PluginWarning, match="a hook raised ValueError: in two lines; update"):
        host = plugins.host()
    host.pass_finished(PassRecord("p", 0, 0.0, (), ()))
    assert "\n" not in plugin_of(host, "bad").error


def test_declaring_costs_no_numpy(plugins: Plugins) -> None:
    import subprocess

    code = "import gie_core.plugin, gie_core.plugin.host, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CONFIGS: list[tuple[str, list[str] | str]] = [
    ('block = ["a", "b"]', ["a", "b"]),
    ("", []),
    ("block = 3", "block must be a list of plugin names"),
    ('blok = ["a"]', "there is no setting 'blok'"),
    ("block = [", "cannot be read"),
]


@pytest.mark.parametrize(("text", "expected"), CONFIGS)
def test_the_configuration_file_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str] | str
) -> None:
    monkeypatch.delenv("GIE_BLOCK", raising=False)
    monkeypatch.delenv("GIE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gie.toml").write_text(text, encoding="utf-8")
    if isinstance(expected, list):
        assert blocked_plugins() == expected
        return
    with pytest.raises(GieError, match=expected):
        blocked_plugins()


def test_the_environment_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIE_BLOCK", " a, b ,")
    monkeypatch.delenv("GIE_CONFIG", raising=False)
    assert blocked_plugins() == ["a", "b"]
    monkeypatch.setenv("GIE_CONFIG", "")
    assert blocked_plugins() == ["a", "b"]
    monkeypatch.setenv("GIE_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(GieError, match=r"missing\.toml cannot be read"):
        blocked_plugins()


def test_registering_a_module_by_hand(plugins: Plugins) -> None:
    plugins.add("good", GOOD)
    host = PluginHost(entry_points=[])
    host.register(importlib.import_module("gie_test_plugin_good"), "by-hand")
    assert [o.declaration.name for o in host.passes()] == ["good-pass"]
