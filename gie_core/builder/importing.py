"""Importing: from a model of some framework to a verified graph."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gie_core.builder.report import ImportReport
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.verify import Stage, verify
from gie_core.plugin.blame import blame, checked
from gie_core.plugin.declarations import ImporterDeclaration
from gie_core.plugin.host import Owned, PluginHost

__all__ = ["Imported", "Importer", "ModelError", "import_model"]

LONGEST_TEXT = 300  # of a path in a message


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
        GieError: an option is unknown, or the importer raised something; names its plugin.
    """
    source = Path(source) if isinstance(source, str) else source
    if isinstance(source, Path):
        _check_exists(source)
    for owned in _candidates(source, host):
        importer: Importer | None = host.load(owned, lambda make: make())
        if importer is not None and _accepts(importer, owned, source):
            imported = _load(importer, owned, source, options)
            verify(imported.graph, Stage.IMPORTED)
            return imported
    raise ModelError(_no_importer(source, host))


def _accepts(importer: Importer, owned: Owned[ImporterDeclaration], source: object) -> bool:
    """What the importer says; one that fails does not accept, and another may."""
    what = f"accepts() of the importer {owned.declaration.name!r}"
    try:
        with blame(owned.plugin.name, what):
            return bool(importer.accepts(source))
    except GieError as error:
        warnings.warn(f"{error}; it is not asked further", RuntimeWarning, stacklevel=4)
        return False


def _load(
    importer: Importer, owned: Owned[ImporterDeclaration], source: object, options: dict[str, Any]
) -> Imported:
    plugin = owned.plugin.name
    what = f"loading {_describe(source)}, the importer {owned.declaration.name!r}"
    with blame(plugin, what):
        _check_options(importer, owned.declaration.name, options)
        return checked(importer.load(source, **options), Imported, plugin, what)


def _check_options(importer: Importer, name: str, options: Iterable[str]) -> None:
    """Reject what ``load`` has no parameter for; one that takes any keyword checks them itself."""
    _, *parameters = inspect.signature(importer.load).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    unknown = next((option for option in options if option not in known), None)
    if unknown is not None:
        have = f"it has {' and '.join(known)}" if known else "it has none"
        raise GieError(f"the importer {name!r} has no option {unknown!r}; {have}")


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


def _check_exists(path: Path) -> None:
    try:
        if path.exists():
            if path.is_file() and not path.stat().st_size:
                raise ModelError(f"{_describe(path)} is empty")
            return
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:  # the name is too long, or a folder may not be read
        raise ModelError(f"{_describe(path)} cannot be read: {error.strerror}") from error
    close = difflib.get_close_matches(path.name, siblings, 1, cutoff=0.8)
    hint = f"; did you mean {path.parent / close[0]}?" if close else ""
    raise ModelError(f"there is no file {path}{hint}")


def _no_importer(source: object, host: PluginHost) -> str:
    failures = "; ".join(f"{name}: {error}" for name, error in host.failures().items())
    also = f" (plugins that failed: {failures})" if failures else ""
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
    return f"no importer accepts {_describe(source)}: {have}{also}"


def _describe(source: object) -> str:
    match source:
        case Path():
            return _shortened(str(source))
        case bytes():
            return f"{len(source)} bytes"
        case _:
            return f"a {type(source).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
