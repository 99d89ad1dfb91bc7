"""The plugin host: finds plugins, keeps them apart, and answers in types.

No other module touches pluggy or entry points. A plugin that fails to import,
raises in a hook, or declares nonsense becomes ``FAILED`` with its error and what
to do; a warning says so, and everything else goes on without it.
"""

from __future__ import annotations

import enum
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from gie_core.plugin import hookspec
from gie_core.plugin.collecting import collect_declarations
from gie_core.plugin.config import blocked_plugins
from gie_core.plugin.declarations import (
    AdapterDeclaration,
    CommandDeclaration,
    Declaration,
    DeclarationError,
    ImporterDeclaration,
    KernelProviderDeclaration,
    OpsDeclaration,
    PassDeclaration,
)

if TYPE_CHECKING:
    from gie_core.builder.report import BuildReport, PassRecord
    from gie_core.builder.timing_cache import Timing
    from gie_core.ir.op import Op, OpRegistry

__all__ = [
    "ENTRY_POINT_GROUP",
    "Owned",
    "Plugin",
    "PluginHost",
    "PluginWarning",
    "Status",
    "default_host",
]

ENTRY_POINT_GROUP = "gie"

_OP_NAME = re.compile(r"[a-z_]\w*(\.\w+)+", re.ASCII)

D = TypeVar("D", bound=Declaration)
T = TypeVar("T")


class PluginWarning(RuntimeWarning):
    """A plugin has failed and is left out."""


class Status(enum.Enum):
    """What became of a plugin."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    FAILED = "failed"


@dataclass
class Plugin:
    """One entry point of the group ``gie``.

    Attributes:
        name: the entry point's name; what ``--block`` takes.
        distribution: the installed package that brings it, with ``version``.
        error: one sentence, where the status is ``FAILED``.
        declarations: what it provides.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: Status = Status.ACTIVE
    error: str = ""
    declarations: list[Declaration] = field(default_factory=list[Declaration])

    def fail(self, error: str) -> None:
        """Mark it as failed; it provides nothing from here on."""
        self.status, self.error, self.declarations = Status.FAILED, " ".join(error.split()), []


@dataclass(frozen=True)
class Owned(Generic[D]):
    """A declaration and the plugin that owns it, for messages."""

    declaration: D
    plugin: Plugin


class PluginHost:
    """All plugins of one process.

    Args:
        block: names of plugins that must not be imported, or ``plugin:thing`` for one thing
            that a plugin declares.
        entry_points: where to look; by default what is installed.
    """

    def __init__(
        self, block: Iterable[str] = (), entry_points: Iterable[metadata.EntryPoint] | None = None
    ) -> None:
        self._manager = pluggy.PluginManager("gie")
        self._manager.add_hookspecs(hookspec)
        self._blocked = frozenset(block)
        self._met: set[str] = set()
        self.plugins: list[Plugin] = []
        found = (
            metadata.entry_points(group=ENTRY_POINT_GROUP) if entry_points is None else entry_points
        )
        for entry_point in sorted(found, key=lambda e: e.name):
            self._admit(entry_point)
        for plugin in self.plugins:
            self._collect(plugin)
        self._check_block()
        self._reject_clashes()

    # ── Typed façade ────────────────────────────────────────────────────────────────

    def importers(self) -> list[Owned[ImporterDeclaration]]:
        """All importers, by name."""
        return self._owned(ImporterDeclaration)

    def passes(self) -> list[Owned[PassDeclaration]]:
        """All passes, by name."""
        return self._owned(PassDeclaration)

    def kernel_providers(self) -> list[Owned[KernelProviderDeclaration]]:
        """All kernel providers, in the order in which they are asked."""
        return sorted(self._owned(KernelProviderDeclaration), key=lambda o: o.declaration.order)

    def adapters(self) -> list[Owned[AdapterDeclaration]]:
        """All adapters, by name."""
        return self._owned(AdapterDeclaration)

    def commands(self) -> list[Owned[CommandDeclaration]]:
        """All commands, by name."""
        return self._owned(CommandDeclaration)

    def failures(self) -> dict[str, str]:
        """What is wrong with each plugin that failed so far, by name."""
        return {p.name: p.error for p in self.plugins if p.status is Status.FAILED}

    def ops(self) -> OpRegistry:
        """The core's ops and the plugins'. A plugin whose ops don't load or clash is failed."""
        from gie_core.ops import core_ops

        registry = core_ops().copy()
        for plugin in self.plugins:
            extended = registry.copy()
            for declaration in list(plugin.declarations):
                if isinstance(declaration, OpsDeclaration):
                    self.load(Owned(declaration, plugin), partial(_add_ops, extended))
            if plugin.status is Status.ACTIVE:
                registry = extended
        return registry

    def load(self, owned: Owned[D], use: Callable[[Any], Any]) -> Any:
        """Load what a declaration names and hand it to ``use``; ``None`` if its plugin failed.

        The plugin is failed, with the reason, when the import or ``use`` raises.
        """
        if owned.plugin.status is not Status.ACTIVE:
            return None
        try:
            return use(owned.declaration.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a third party's code: anything can come, and the rest goes on
            self._fail(owned.plugin, _reason(owned.declaration.factory, error))
            return None

    def load_all(
        self, declared: Iterable[Owned[D]], use: Callable[[Any, D], T]
    ) -> list[tuple[Owned[D], T]]:
        """What ``use`` makes of each; nothing of a plugin that has failed with any of them."""
        made = [
            (owned, self.load(owned, lambda found, of=owned.declaration: use(found, of)))
            for owned in declared
        ]
        return [pair for pair in made if pair[0].plugin.status is Status.ACTIVE]

    def pass_finished(self, record: PassRecord) -> None:
        """Tell all observers that a pass has run."""
        self._tell("gie_pass_finished", record=record)

    def candidate_timed(self, node: str, provider: str, candidate: str, timing: Timing) -> None:
        """Tell all observers that a candidate was timed."""
        self._tell(
            "gie_candidate_timed", node=node, provider=provider, candidate=candidate, timing=timing
        )

    def build_finished(self, report: BuildReport) -> None:
        """Tell all observers that an engine has been built."""
        self._tell("gie_build_finished", report=report)

    def _tell(self, hook: str, **facts: object) -> None:
        """Call all observers with those facts that they ask for."""
        active = {p.name for p in self.plugins if p.status is Status.ACTIVE}
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name not in active:
                continue
            try:
                implementation.function(*(facts[name] for name in implementation.argnames))
            except Exception as error:  # noqa: BLE001 - an observer must not stop a build
                warnings.warn(
                    f"the observer of plugin {implementation.plugin_name!r} failed: {error}",
                    RuntimeWarning,
                    stacklevel=3,
                )

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that is not installed: a module or object with hook implementations."""
        entry = Plugin(name)
        self.plugins.append(entry)
        self._manager.register(plugin, name)
        self._collect(entry)
        self._reject_clashes()

    # ── Life of a plugin ────────────────────────────────────────────────────────────

    def _admit(self, entry_point: metadata.EntryPoint) -> None:
        plugin = Plugin(entry_point.name)
        if entry_point.dist is not None:
            plugin.distribution, plugin.version = entry_point.dist.name, entry_point.dist.version
        twin = next((p for p in self.plugins if p.name == plugin.name), None)
        self.plugins.append(plugin)
        if self._blocks(plugin.name):
            plugin.status = Status.BLOCKED
            return
        if twin is not None:
            self._fail(
                plugin,
                f"{twin.distribution or 'one package'} and {plugin.distribution or 'another'} both "
                "bring a plugin of this name",
                advice="uninstall one",
            )
            return
        try:
            self._manager.register(entry_point.load(), plugin.name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an import runs a third party's code: anything can come
            self._fail(
                plugin, f"importing {entry_point.value} raised {type(error).__name__}: {error}"
            )

    def _check_block(self) -> None:
        silent = {p.name for p in self.plugins if p.status is not Status.ACTIVE}
        for name in sorted(self._blocked - self._met):
            if name.partition(":")[0] in silent:  # it does not say what it would declare
                continue
            warnings.warn(
                f"there is nothing called {name!r} to block; `gie plugins` lists what there is",
                RuntimeWarning,
                stacklevel=3,
            )

    def _collect(self, plugin: Plugin) -> None:
        """Call the plugin's declaring hooks and check what they return."""
        module = self._manager.get_plugin(plugin.name)
        if plugin.status is not Status.ACTIVE or module is None:
            return
        try:
            found = collect_declarations(module)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook is a third party's code
            self._fail(plugin, _reason("a hook", error))
            return
        plugin.declarations = [d for d in found if not self._blocks(f"{plugin.name}:{d.name}")]

    def _blocks(self, name: str) -> bool:
        self._met.add(name)
        return name in self._blocked

    def _reject_clashes(self) -> None:
        """Of two plugins that declare one name, the later (by name) is failed."""
        owners: dict[tuple[str, str], Plugin] = {}
        for plugin in self.plugins:
            names = [(d.kind, d.name) for d in plugin.declarations]
            clash = next((name for name in names if name in owners), None)
            if clash is None:
                owners.update(dict.fromkeys(names, plugin))
                continue
            kind, name = clash
            owner = owners[clash].name
            self._fail(plugin, f"it and plugin {owner!r} both declare the {kind} {name!r}")

    def _fail(self, plugin: Plugin, error: str, advice: str = "") -> None:
        update = (
            f"update or uninstall {plugin.distribution}" if plugin.distribution else "update it"
        )
        plugin.fail(f"{error}; {advice or f'{update}, or block it with --block {plugin.name}'}")
        warnings.warn(
            f"plugin {plugin.name!r} is left out: {plugin.error}", PluginWarning, stacklevel=3
        )

    def _owned(self, kind: type[D]) -> list[Owned[D]]:
        found = [
            Owned(d, plugin)
            for plugin in self.plugins
            for d in plugin.declarations
            if isinstance(d, kind)
        ]
        return sorted(found, key=lambda owned: owned.declaration.name)


def _reason(what: str, error: BaseException) -> str:
    """Why a plugin failed; what the host itself found says so without a type's name."""
    if isinstance(error, DeclarationError):
        return str(error)
    return f"{what} raised {type(error).__name__}: {error}"


def _add_ops(registry: OpRegistry, ops: Iterable[object]) -> None:
    for op in ops:
        registry.add(_checked_op(op))


def _checked_op(op: object) -> type[Op]:
    from gie_core.ir.op import Op

    if not isinstance(op, type) or not issubclass(op, Op):
        raise DeclarationError(f"an op set must consist of Op classes, but {op!r} is none")
    if not _OP_NAME.fullmatch(op.name):
        raise DeclarationError(
            f"the op name {op.name!r} must be a prefix, a dot and a name, such as 'acme.swish'"
        )
    return op


@cache
def default_host() -> PluginHost:
    """The host of this process: what is installed, less what environment and config block."""
    return PluginHost(block=blocked_plugins())
