"""What plugin authors import: the hook marker and the declarations. Imports no NumPy."""

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
from gie_core.plugin.hookspec import hookimpl

__all__ = [
    "AdapterDeclaration",
    "CommandDeclaration",
    "Declaration",
    "DeclarationError",
    "ImporterDeclaration",
    "KernelProviderDeclaration",
    "OpsDeclaration",
    "PassDeclaration",
    "hookimpl",
]
