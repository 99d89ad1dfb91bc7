"""What a .gie file is: a graph, the plans that run it, and all they need.

``docs/engine-file.md`` describes the format and its versions. Reading a file is safe whatever
bytes are in it: ``container`` checks the bytes, ``json_reader`` the JSON, ``verify`` the graphs and
``check_plan`` the plans, before anybody uses them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import gie_core
from gie_core.engine.arrays_json import ArrayTable, array_from_json
from gie_core.engine.container import (
    FORMAT,
    NATIVE,
    Container,
    EngineFileError,
    Section,
    naming_damage,
    reading,
    write_container,
)
from gie_core.engine.json_reader import Item
from gie_core.engine.plan import Plan
from gie_core.engine.plan_check import PlanError, check_plan
from gie_core.engine.plan_json import plan_from_json, plan_to_json
from gie_core.engine.trust import is_known, remember
from gie_core.ir.graph import Graph
from gie_core.ir.op import OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import Array
from gie_core.ir.verify import Stage, verify

__all__ = [
    "EngineFileError",
    "Package",
    "ProviderVersion",
    "load_package",
    "save_package",
    "unpack",
]


class ProviderVersion(NamedTuple):
    """A kernel provider that plans name, and the plugin that it came from."""

    name: str
    plugin: str
    version: str

    def __str__(self) -> str:
        return f"{self.plugin or self.name} {self.version}".rstrip()


@dataclass(frozen=True, eq=False)
class Package:
    """The content of an engine file.

    Args:
        graph: the optimized graph, with symbols where sizes may vary. Plans are made from it,
            and can be made from it again.
        plans: each with a graph of its own, or with this one.
        target: what the plans are for, as text.
        providers: those that the plans name.
        report: what the build did; JSON, where NaN and infinities become ``null``.
        metadata: texts for people.
        native: code that is executed, by name: uint8 [n].
        source: the imported graph, of an engine whose weights can be exchanged.
        gie: the version of GIE that made it.
        digest: names the content of the file; "" before it was saved.
    """

    graph: Graph
    plans: tuple[Plan, ...]
    target: str
    providers: tuple[ProviderVersion, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    native: Mapping[str, Array] = field(default_factory=dict[str, Array])
    source: Graph | None = None
    gie: str = gie_core.__version__
    digest: str = ""

    def check_usable(
        self, path: str | os.PathLike[str], target: str, installed: Iterable[ProviderVersion]
    ) -> None:
        """Check that the plans can run here.

        A provider's candidates and prepacked weights are its own affair, so it must be of the
        very version that they were made with.

        Args:
            path: what errors call the engine.
            target: of this machine, as text.
            installed: the providers.

        Raises:
            EngineFileError: they can't; the message says what to do.
        """
        again = "load it with rebuild=True to plan it again"
        if self.target != target:
            raise EngineFileError(f"{path} is built for {self.target}, not for {target}; {again}")
        have = {provider.name: provider for provider in installed}
        for wanted in self.providers:
            found = have.get(wanted.name)
            if found is None:
                raise EngineFileError(
                    f"{path} runs kernels of {wanted!s}, which is not installed; install it, or "
                    f"{again} without"
                )
            if found != wanted:
                raise EngineFileError(
                    f"{path} is built with {wanted!s}, but {found!s} is installed; install the "
                    f"other version, or {again}"
                )


# ── Writing ─────────────────────────────────────────────────────────────────────────────


def save_package(package: Package, path: str | os.PathLike[str]) -> str:
    """Write a file; equal packages give equal bytes. The target is replaced in one go.

    Args:
        package: what to write; the file has the version of GIE that it names.
        path: the target; its folder exists.

    Returns:
        The digest of the file.

    Raises:
        EngineFileError: it can't be written, or a plan contradicts itself.
    """
    try:
        _check_plans(package)
    except PlanError as error:
        raise EngineFileError(
            f"{path} cannot be written, since its plan is wrong: {error}; please report this"
        ) from error
    arrays = ArrayTable()
    # Native code comes first, so that no array of the same bytes makes data of it.
    native = {
        name: arrays.section(Section.of(code, NATIVE)) for name, code in package.native.items()
    }
    texts: dict[str, int] = {}

    def number(graph: Graph) -> int:
        return texts.setdefault(format_graph(graph, lambda a: str(arrays.number(a))), len(texts))

    number(package.graph)
    plans = [plan_to_json(plan, number(plan.graph), arrays.number) for plan in package.plans]
    body = {
        "format": list(FORMAT),
        "gie": package.gie,
        "target": package.target,
        "providers": [list(provider) for provider in package.providers],
        "source": [] if package.source is None else [number(package.source)],
        "graphs": list(texts),
        "plans": plans,
        "arrays": arrays.entries,
        "native": native,
        "report": _finite(package.report),
        "metadata": dict(package.metadata),
    }
    digest = write_container(path, body, arrays.sections)
    if package.native:
        remember(digest)
    return digest


def _finite(value: Any) -> Any:
    """JSON with ``None`` in place of numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ── Reading ─────────────────────────────────────────────────────────────────────────────


def load_package(
    path: str | os.PathLike[str],
    ops: OpRegistry,
    *,
    verify_weights: bool = True,
    trust: bool = False,
    native: bool = True,
) -> Package:
    """Read a file, whatever bytes are in it.

    Weights stay in the file, mapped read only.

    Args:
        path: the file.
        ops: the ops that its graphs may have.
        verify_weights: compare them with their SHA-256 (see ``reading``).
        trust: take native code from anywhere, not only from files that this user wrote here.
        native: ``False`` leaves native code in the file, to build the engine again.

    Raises:
        EngineFileError: it can't be read, is damaged, is of another format version, has an op
            that is not installed, or native code that is not trusted.
    """
    with reading(path, verify=verify_weights) as container:
        return unpack(container, path, ops, trust=trust, native=native)


def unpack(
    container: Container,
    path: str | os.PathLike[str],
    ops: OpRegistry,
    *,
    trust: bool = False,
    native: bool = True,
) -> Package:
    """The package in a container; arguments and errors as for ``load_package``."""
    with naming_damage(path):
        fields = _fields(container.body)
        arrays = [
            array_from_json(item, container.sections)
            for item in fields["arrays"].items(each="array")
        ]
        texts = [item.text() for item in fields["graphs"].items(each="graph")]
        graphs = [_graph(text, path, ops, arrays) for text in texts]
        if not graphs:
            fields["graphs"].fail("there is none")
        code = _native(fields["native"], container.sections) if native else {}
        if code and not (trust or is_known(container.digest)):
            raise EngineFileError(
                f"{path} has native code, and was not written here by this user; load it with "
                "trust=True if you know who wrote it, or with rebuild=True to make the code again"
            )
        report = fields["report"]
        package = Package(
            graph=graphs[0],
            plans=tuple(
                plan_from_json(item, graphs, arrays) for item in fields["plans"].items(each="plan")
            ),
            target=fields["target"].text(),
            providers=tuple(_provider(item) for item in fields["providers"].items(each="provider")),
            report={name: item.json() for name, item in report.entries().items()},
            metadata={name: item.text() for name, item in fields["metadata"].entries().items()},
            native=code,
            source=_source(fields["source"], graphs),
            gie=fields["gie"].text(),
            digest=container.digest,
        )
        _check_plans(package)
    return package


_FIELDS = (
    *("format", "gie", "target", "providers", "source", "graphs", "plans", "arrays", "native"),
    *("report", "metadata"),
)


def _fields(body: dict[str, Any]) -> dict[str, Item]:
    """The body's entries; a newer minor version may have more, which readers may ignore."""
    if body["format"][1] > FORMAT[1]:
        body = {name: value for name, value in body.items() if name in _FIELDS}
    return Item(body).fields(*_FIELDS)


def _graph(
    text: str, path: str | os.PathLike[str], ops: OpRegistry, arrays: Sequence[Array]
) -> Graph:
    blobs = {str(number): array for number, array in enumerate(arrays)}
    try:
        graph = parse_graph(text, ops, blobs)
        verify(graph, Stage.GROUPED)
    except Exception as error:
        # Ops come from plugins, and their rules meet here what no importer would give them.
        reason = str(error).partition("\n")[0][:300] or type(error).__name__
        raise EngineFileError(
            f"a graph in {path} cannot be read: {reason}; install the plugins that it was built "
            "with, or build the engine again"
        ) from error
    return graph


def _native(item: Item, sections: Sequence[Section]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, number in item.entries().items():
        section = sections[number.index(len(sections), "section")]
        if section.kind != NATIVE:
            number.fail("its section is not native code")
        found[name] = section.data
    return found


def _source(item: Item, graphs: Sequence[Graph]) -> Graph | None:
    for number in item.items(each="source"):
        return graphs[number.index(len(graphs), "graph")]
    return None


def _provider(item: Item) -> ProviderVersion:
    name, plugin, version = item.items(3)
    return ProviderVersion(name.text(), plugin.text(), version.text())


def _check_plans(package: Package) -> None:
    """Check every plan, and that it computes what the package's graph does, as far as names say.

    Raises:
        PlanError: one is wrong.
    """
    for index, plan in enumerate(package.plans):
        name = f"plan {index}"
        check_plan(plan, name)
        if _interface(plan.graph) != _interface(package.graph):
            raise PlanError(f"{name}: its inputs, outputs and states are not those of the graph")


def _interface(graph: Graph) -> tuple[tuple[str, ...], ...]:
    return (
        tuple(value.name for value in graph.inputs),
        graph.output_names,
        tuple(state.input.name for state in graph.states),
    )
