"""Finding the importer for a source, and saying why there is none."""

from __future__ import annotations

import json
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gie_core.builder.importing import Imported, ModelError, import_model
from gie_core.builder.report import BuildReport, ForeignNode, ImportReport
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.types import TensorType
from gie_core.ir.verify import VerifyError
from gie_core.plugin import AdapterDeclaration, ImporterDeclaration, hookimpl
from gie_core.plugin.host import PluginHost, PluginWarning, Status

MODULE = "gie_test_importing"


class LiveModel:
    """An object of a framework."""


class Reader:
    """Reads files and bytes that begin with its mark."""

    mark = b"TOY"

    def accepts(self, source: object) -> bool:
        if isinstance(source, Path):
            return source.read_bytes().startswith(self.mark)
        return isinstance(source, LiveModel) or (
            isinstance(source, bytes) and source.startswith(self.mark)
        )

    def load(self, source: object, *, broken: bool = False, **options: Any) -> Imported:
        if options:
            raise GieError(f"unknown option {min(options)!r}")
        graph = Graph(type(self).__name__)
        x = graph.add_input("x", TensorType.of("f32", [1]))
        graph.set_outputs([x])
        if broken:
            graph.add_constant([1.0]).type = TensorType.of("f32", [2])
        return Imported(graph, ImportReport("toy"))


class Greedy(Reader):
    """Another reader, for another mark."""

    mark = b"GREEDY"


class Toy:
    """A plugin with two importers and an adapter."""

    @hookimpl
    def gie_importers(self) -> list[ImporterDeclaration]:
        types = (f"{LiveModel.__module__.partition('.')[0]}.LiveModel",)
        return [
            ImporterDeclaration(
                name="toy", factory=f"{MODULE}:Reader", suffixes=(".toy",), types=types
            ),
            ImporterDeclaration(name="greedy", factory=f"{MODULE}:Greedy", suffixes=(".greedy",)),
        ]

    @hookimpl
    def gie_adapters(self) -> list[AdapterDeclaration]:
        return [AdapterDeclaration(name="toy", factory=f"{MODULE}:Reader", framework="toy")]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    module = types.ModuleType(MODULE)
    module.__dict__.update(Reader=Reader, Greedy=Greedy)
    monkeypatch.setitem(sys.modules, MODULE, module)
    host = PluginHost(entry_points=[])
    host.register(Toy(), "toy")
    return host


@pytest.mark.parametrize(
    ("file", "content", "importer"),
    [
        ("a.toy", b"TOY", "Reader"),
        ("a.TOY", b"TOY", "Reader"),
        ("a.greedy", b"GREEDY", "Greedy"),
        ("a.greedy", b"TOY", "Reader"),
        ("no_suffix", b"TOY", "Reader"),
    ],
)
def test_suffix_first_then_content(
    host: PluginHost, tmp_path: Path, file: str, content: bytes, importer: str
) -> None:
    (tmp_path / file).write_bytes(content)
    assert import_model(tmp_path / file, host).graph.name == importer
    assert import_model(str(tmp_path / file), host).graph.name == importer


def test_bytes_and_live_objects(host: PluginHost) -> None:
    assert import_model(b"GREEDY...", host).graph.name == "Greedy"
    assert import_model(LiveModel(), host).graph.name == "Reader"


def test_options_go_to_the_importer(host: PluginHost) -> None:
    with pytest.raises(GieError, match="unknown option 'wieghts'"):
        import_model(b"TOY", host, wieghts="x")


def test_an_importer_that_makes_an_invalid_graph_is_caught(host: PluginHost) -> None:
    with pytest.raises(VerifyError, match="graph 'Reader' is not valid"):
        import_model(b"TOY", host, broken=True)


def test_no_importer_accepts(host: PluginHost, tmp_path: Path) -> None:
    (tmp_path / "a.toy").write_bytes(b"???")
    with pytest.raises(ModelError, match=r"no importer accepts .*a\.toy: the installed .* \.toy"):
        import_model(tmp_path / "a.toy", host)


def test_a_missing_file_suggests_its_neighbour(host: PluginHost, tmp_path: Path) -> None:
    (tmp_path / "model.toy").write_bytes(b"TOY")
    with pytest.raises(
        ModelError, match=r"there is no file .*modle\.toy; did you mean .*model\.toy"
    ):
        import_model(tmp_path / "modle.toy", host)


def test_a_failed_importer_is_named(host: PluginHost) -> None:
    class Absent:
        @hookimpl
        def gie_importers(self) -> list[ImporterDeclaration]:
            return [ImporterDeclaration(name="absent", factory="no_module:X", suffixes=(".x",))]

    host.register(Absent(), "absent-plugin")
    with (
        pytest.warns(PluginWarning, match="plugin 'absent-plugin' is left out: .*no_module"),
        pytest.raises(ModelError, match=r"\(plugins that failed: absent-plugin: .*no_module"),
    ):
        import_model(b"???", host)
    assert [p.status for p in host.plugins] == [Status.ACTIVE, Status.FAILED]


# ── Importers that misbehave ────────────────────────────────────────────────────────


class Unsure(Reader):
    """Can't even look."""

    def accepts(self, source: object) -> bool:
        raise KeyError("where")


class Stumbling(Reader):
    def load(self, source: object, **options: Any) -> Imported:
        raise KeyError("where")


class Hasty(Reader):
    def load(self, source: object, **options: Any) -> Any:
        return Graph()


class Plain(Reader):
    def load(self, source: object, *, scale: float = 1.0, name: str = "") -> Imported:  # pyright: ignore[reportIncompatibleMethodOverride] - as authors write it
        return super().load(source)


def host_of(monkeypatch: pytest.MonkeyPatch, *readers: type[Reader]) -> PluginHost:
    """A host with one plugin, "acme", whose importers are asked in this order."""
    module = types.ModuleType(MODULE)
    module.__dict__.update({reader.__name__: reader for reader in readers})
    monkeypatch.setitem(sys.modules, MODULE, module)

    class Acme:
        @hookimpl
        def gie_importers(self) -> list[ImporterDeclaration]:
            return [
                ImporterDeclaration(name=f"i{number}", factory=f"{MODULE}:{reader.__name__}")
                for number, reader in enumerate(readers)
            ]

    host = PluginHost(entry_points=[])
    host.register(Acme(), "acme")
    return host


def test_an_importer_that_cannot_look_does_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(monkeypatch, Unsure, Reader)
    message = r"accepts\(\) of the importer 'i0' of plugin 'acme' raised KeyError: 'where'; update"
    with pytest.warns(RuntimeWarning, match=message):
        assert import_model(b"TOY", host).graph.name == "Reader"


@pytest.mark.parametrize(
    ("reader", "options", "message"),
    [
        (Stumbling, {}, "loading 3 bytes, the importer 'i0' of plugin 'acme' raised KeyError: 'wh"),
        (Hasty, {}, "the importer 'i0' of plugin 'acme' must return an Imported, not a Graph"),
        (Plain, {"nme": 1}, "the importer 'i0' has no option 'nme'; it has scale and name"),
    ],
)
def test_what_an_importer_does_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, reader: type[Reader], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(GieError, match=message):
        import_model(b"TOY", host_of(monkeypatch, reader), **options)


def test_options_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert import_model(b"TOY", host_of(monkeypatch, Plain), scale=2).graph.name == "Plain"


def test_a_path_that_no_file_can_have(host: PluginHost) -> None:
    with pytest.raises(ModelError, match=r"^x{300}… cannot be read: File name too long$"):
        import_model("x" * 5000, host)


def test_the_report_survives_json() -> None:
    imported = ImportReport("toy", Counter({"Conv": 2}), [ForeignNode("n", "toy::X", "why")])
    document = json.loads(json.dumps(BuildReport(imported=imported).to_json()))
    assert document["imported"]["native"] == {"Conv": 2}
    assert document["imported"]["foreign"][0]["op"] == "toy::X"


def test_adapters_are_listed(host: PluginHost) -> None:
    [owned] = host.adapters()
    assert (owned.declaration.framework, owned.plugin.name) == ("toy", "toy")
