"""The plugin host: finds plugins, keeps them apart, and answers in types.

No other module touches pluggy or entry points. A plugin that fails to import,
raises in a hook, or declares nonsense becomes ``FAILED`` with its error and what
to do; everything else goes on without it.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pluggy

from gie_core.plugin import hookspec
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
    from gie_core.builder.report import PassRecord
    from gie_core.ir.op import OpRegistry

__all__ = ["ENTRY_POINT_GROUP", "Owned", "Plugin", "PluginHost", "Status", "default_host"]

ENTRY_POINT_GROUP = "gie"

D = TypeVar("D", bound=Declaration)

# Which kind of declaration each hook returns.
_HOOKS: dict[str, type[Declaration]] = {
    "gie_ops": OpsDeclaration,
    "gie_importers": ImporterDeclaration,
    "gie_passes": PassDeclaration,
    "gie_kernel_providers": KernelProviderDeclaration,
    "gie_adapters": AdapterDeclaration,
    "gie_cli": CommandDeclaration,
}


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
        self.status, self.error, self.declarations = Status.FAILED, error, []


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

    def ops(self) -> OpRegistry:
        """The core's ops and the plugins'. A plugin whose ops don't load or clash is failed."""
        from gie_core.ir.op import OpRegistry
        from gie_core.ops import core_ops

        registry = OpRegistry(core_ops().values())
        for owned in self._owned(OpsDeclaration):
            self.load(owned, lambda ops: [registry.add(op) for op in ops])
        return registry

    def load(self, owned: Owned[D], use: Callable[[Any], Any]) -> Any:
        """Load what a declaration names and hand it to ``use``; ``None`` if its plugin failed.

        The plugin is failed, with the reason, when the import or ``use`` raises.
        """
        if owned.plugin.status is not Status.ACTIVE:
            return None
        try:
            return use(owned.declaration.load())
        except Exception as error:  # noqa: BLE001 - a third party's code: anything can come, and the rest goes on
            message = (
                str(error)
                if isinstance(error, DeclarationError)
                else f"{owned.declaration.factory} raised {type(error).__name__}: {error}"
            )
            self._fail(owned.plugin, message)
            return None

    def pass_finished(self, record: PassRecord) -> None:
        """Tell all observers that a pass has run."""
        for implementation in self._manager.hook.gie_pass_finished.get_hookimpls():
            try:
                implementation.function(*([record] if implementation.argnames else []))
            except Exception as error:  # noqa: BLE001 - an observer must not stop a build
                warnings.warn(
                    f"the observer of plugin {implementation.plugin_name!r} failed: {error}",
                    RuntimeWarning,
                    stacklevel=2,
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
        self.plugins.append(plugin)
        if self._blocks(plugin.name):
            plugin.status = Status.BLOCKED
            return
        try:
            self._manager.register(entry_point.load(), plugin.name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an import runs a third party's code: anything can come
            self._fail(
                plugin, f"importing {entry_point.value} raised {type(error).__name__}: {error}"
            )

    def _check_block(self) -> None:
        for name in sorted(self._blocked - self._met):
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
            unknown = [
                name
                for name in dir(module)
                if name.startswith("gie_")
                and not hasattr(hookspec, name)
                and hasattr(getattr(module, name), "gie_impl")
            ]
            if unknown:
                raise DeclarationError(f"there is no hook {unknown[0]!r}; docs/hooks.md lists them")
            for hook, expected in _HOOKS.items():
                if hasattr(module, hook) and hasattr(getattr(module, hook), "gie_impl"):
                    plugin.declarations.extend(_checked(hook, expected, getattr(module, hook)()))
        except Exception as error:  # noqa: BLE001 - a hook is a third party's code
            text = (
                str(error)
                if isinstance(error, DeclarationError)
                else f"a hook raised {type(error).__name__}: {error}"
            )
            self._fail(plugin, text)
        plugin.declarations = [
            d for d in plugin.declarations if not self._blocks(f"{plugin.name}:{d.name}")
        ]

    def _blocks(self, name: str) -> bool:
        self._met.add(name)
        return name in self._blocked

    def _reject_clashes(self) -> None:
        """Of two plugins that declare one name, the later (by name) is failed."""
        owners: dict[tuple[type[Declaration], str], Plugin] = {}
        for plugin in self.plugins:
            for declaration in list(plugin.declarations):
                owner = owners.setdefault((type(declaration), declaration.name), plugin)
                if owner is not plugin:
                    self._fail(
                        plugin,
                        f"it and plugin {owner.name!r} both declare the {declaration.kind} "
                        f"{declaration.name!r}; block one",
                    )
                    break

    def _fail(self, plugin: Plugin, error: str) -> None:
        by = f"; update or uninstall {plugin.distribution}" if plugin.distribution else ""
        plugin.fail(f"{error}{by}, or block it with --block {plugin.name}")

    def _owned(self, kind: type[D]) -> list[Owned[D]]:
        found = [
            Owned(d, plugin)
            for plugin in self.plugins
            for d in plugin.declarations
            if isinstance(d, kind)
        ]
        return sorted(found, key=lambda owned: owned.declaration.name)


def _checked(hook: str, expected: type[Declaration], returned: object) -> Sequence[Declaration]:
    if returned is None:
        return ()
    if not isinstance(returned, (list, tuple)):
        raise DeclarationError(
            f"{hook} must return a list of {expected.__name__}, not {type(returned).__name__}"
        )
    for declaration in cast("list[object]", returned):
        if not isinstance(declaration, expected):
            raise DeclarationError(
                f"{hook} must return {expected.__name__} objects, not {declaration!r}"
            )
        declaration.check()
    return cast("Sequence[Declaration]", returned)


@cache
def default_host() -> PluginHost:
    """The host of this process: what is installed, less what environment and config block."""
    return PluginHost(block=blocked_plugins())
