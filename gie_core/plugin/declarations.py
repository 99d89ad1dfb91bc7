"""What a plugin declares: a name, and where to find the thing when it is needed.

A declaration names its factory as ``"package.module:attribute"``; the module is
imported on first use. So a plugin's entry-point module costs nothing at start-up,
and running a program imports only what that program needs. This module imports
no NumPy for the same reason.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from gie_core.errors import GieError

__all__ = [
    "AdapterDeclaration",
    "CommandDeclaration",
    "Declaration",
    "DeclarationError",
    "ImporterDeclaration",
    "KernelProviderDeclaration",
    "OpsDeclaration",
    "PassDeclaration",
]

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_OWN_COMMANDS = (
    *("bench", "build", "compare", "demo", "inspect", "merge-caches", "plugins", "run"),
)  # gie's own


class DeclarationError(GieError):
    """A plugin declares something that makes no sense, or that can't be loaded."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Something a plugin provides.

    Args:
        name: how users and messages call it: lower-case letters, digits, ``. _ -``.
        factory: ``"package.module:attribute"``; what the attribute must be, each kind says.
        summary: one line for ``gie plugins``.
        version: of the thing itself, where it differs from the distribution's.
    """

    kind: ClassVar[str]
    name: str
    factory: str
    summary: str = ""
    version: str = ""

    def check(self) -> None:
        """Check the fields.

        Raises:
            DeclarationError: one is wrong; says which and how to write it.
        """
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"the {self.kind} name {self.name!r} must be lower-case letters, digits, '.', '_' "
                "and '-'"
            )
        if not _FACTORY.fullmatch(self.factory):
            raise DeclarationError(
                f"the factory {self.factory!r} of {self.kind} {self.name!r} must read "
                "'package.module:attribute'"
            )

    def load(self) -> Any:
        """Import the module and return the attribute.

        Raises:
            DeclarationError: either does not exist, or the import fails.
        """
        module, _, attribute = self.factory.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (
            Exception,
            SystemExit,
        ) as error:  # an import runs a third party's code: anything can come
            raise DeclarationError(
                f"the {self.kind} {self.name!r} cannot be loaded from {self.factory}: "
                f"{type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class OpsDeclaration(Declaration):
    """A set of ops. The factory is an iterable of ``Op`` classes."""

    kind = "op set"


@dataclass(frozen=True, kw_only=True)
class ImporterDeclaration(Declaration):
    """An importer. The factory returns an ``Importer``.

    Args:
        suffixes: file name endings it reads, such as ``".onnx"``.
        types: live objects it takes, by type: names of types (``"ModelProto"``) qualified
            by the top package that defines them: ``"onnx.ModelProto"``.
    """

    kind = "importer"
    suffixes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PassDeclaration(Declaration):
    """A pass. The factory is a ``Pass`` class that can be made without arguments."""

    kind = "pass"


@dataclass(frozen=True, kw_only=True)
class KernelProviderDeclaration(Declaration):
    """A kernel provider. The factory returns a ``KernelProvider``.

    Args:
        order: providers are asked from low to high; the core's reference has 1000.
        targets: kinds of target it has kernels for.
        min_gain: the part of a network's time, 0 … 1, that its kernels must save together, or
            plans do without them. For kernels that make engines slower to load, as those do
            that need a compiler or a large library.
    """

    kind = "kernel provider"
    order: int = 100
    targets: tuple[str, ...] = ("host",)
    min_gain: float = 0.0

    def check(self) -> None:
        super().check()
        if not 0 <= self.min_gain < 1:
            raise DeclarationError(
                f"the min_gain of {self.kind} {self.name!r} must be at least 0 and below 1, "
                f"not {self.min_gain!r}"
            )


@dataclass(frozen=True, kw_only=True)
class AdapterDeclaration(Declaration):
    """An adapter: calls that look native in a framework. The factory is what users import.

    Args:
        framework: whose calls it offers.
    """

    kind = "adapter"
    framework: str = ""


@dataclass(frozen=True, kw_only=True)
class CommandDeclaration(Declaration):
    """A subcommand of ``gie``. The factory is a ``click.Command``."""

    kind = "command"

    def check(self) -> None:
        super().check()
        if self.name in _OWN_COMMANDS:
            raise DeclarationError(
                f"gie has a command {self.name!r} of its own; choose another name"
            )
