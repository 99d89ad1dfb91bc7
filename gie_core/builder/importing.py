"""Importing: from a model of some framework to a verified graph."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gie_core.builder.report import ImportReport
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.verify import Stage, verify
from gie_core.plugin.declarations import ImporterDeclaration
from gie_core.plugin.host import Owned, PluginHost, Status

__all__ = ["Imported", "Importer", "ModelError", "import_model"]


class ModelError(GieError):
    """A model can't be read, or holds something that can't be represented."""


@dataclass
class Imported:
    """A graph at stage ``IMPORTED`` and how it came to be."""

    graph: Graph
    report: ImportReport


class Importer(Protocol):
    """Turns models of one framework into graphs."""

    def accepts(self, source: object) -> bool:
        """Whether this importer reads the source; cheap: a look at name, type or first bytes.

        Args:
            source: a ``Path``, ``bytes``, or a live object of the framework.
        """
        ...

    def load(self, source: object, **options: Any) -> Imported:
        """Read the model.

        Raises:
            ModelError: the model is damaged, or can't be represented; names the node.
            GieError: an option is unknown or makes no sense.
        """
        ...


def import_model(source: object, host: PluginHost, **options: Any) -> Imported:
    """Import a model with the first importer that accepts it, and verify the graph.

    Args:
        source: a path (``str`` or ``Path``), ``bytes``, or a live object of a framework.
        host: where importers are found.
        **options: the importer's own.

    Raises:
        ModelError: no importer accepts the source, or the model can't be imported.
        VerifyError: the importer made a graph that is not valid (its fault, not the model's).
    """
    source = Path(source) if isinstance(source, str) else source
    if isinstance(source, Path) and not source.exists():
        raise ModelError(_missing(source))
    for owned in _candidates(source, host):
        importer: Importer | None = host.load(owned, lambda make: make())
        if importer is not None and importer.accepts(source):
            imported = importer.load(source, **options)
            verify(imported.graph, Stage.IMPORTED)
            return imported
    raise ModelError(_no_importer(source, host))


def _candidates(source: object, host: PluginHost) -> Iterator[Owned[ImporterDeclaration]]:
    """Those whose suffix or type fits first, then, for paths and bytes, all others."""
    declared = host.importers()
    fitting = [owned for owned in declared if _fits(owned.declaration, source)]
    yield from fitting
    if isinstance(source, (Path, bytes)):
        yield from (owned for owned in declared if owned not in fitting)


def _fits(declaration: ImporterDeclaration, source: object) -> bool:
    if isinstance(source, Path):
        return source.name.lower().endswith(declaration.suffixes)
    return any(
        f"{t.__module__.partition('.')[0]}.{t.__qualname__}" in declaration.types
        for t in type(source).__mro__
    )


def _missing(path: Path) -> str:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, 1)
    return f"there is no file {path}" + (
        f"; did you mean {path.parent / close[0]}?" if close else ""
    )


def _no_importer(source: object, host: PluginHost) -> str:
    failed = [p for p in host.plugins if p.status is Status.FAILED]
    because = f" ({failed[0].name} failed: {failed[0].error})" if failed else ""
    what = (
        f"{source}"
        if isinstance(source, Path)
        else f"{len(source)} bytes"
        if isinstance(source, bytes)
        else f"a {type(source).__name__}"
    )
    known = [
        s
        for owned in host.importers()
        for s in (*owned.declaration.suffixes, *owned.declaration.types)
    ]
    have = (
        f"the installed importers read {', '.join(known)}"
        if known
        else "no importer is installed; try: pip install 'gie-core[onnx]'"
    )
    return f"no importer accepts {what}: {have}{because}"
