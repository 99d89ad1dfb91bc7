"""What a plugin declares: its declaring hooks are called and what they return is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from gie_core.plugin import hookspec
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

__all__ = ["collect_declarations"]

# Which kind of declaration each hook returns.
_HOOKS: dict[str, type[Declaration]] = {
    "gie_ops": OpsDeclaration,
    "gie_importers": ImporterDeclaration,
    "gie_passes": PassDeclaration,
    "gie_kernel_providers": KernelProviderDeclaration,
    "gie_adapters": AdapterDeclaration,
    "gie_cli": CommandDeclaration,
}


def collect_declarations(module: object) -> list[Declaration]:
    """Everything that a module or object with hook implementations declares.

    Raises:
        DeclarationError: it implements a hook that doesn't exist, or declares nonsense.
        Exception: whatever a hook raises.
    """
    unknown = [
        name
        for name in dir(module)
        if name.startswith("gie_") and not hasattr(hookspec, name) and _is_hook(module, name)
    ]
    if unknown:
        raise DeclarationError(f"there is no hook {unknown[0]!r}; docs/hooks.md lists them")
    found: list[Declaration] = []
    for hook, expected in _HOOKS.items():
        if _is_hook(module, hook):
            found += _checked(hook, expected, getattr(module, hook)())
    _reject_repetitions(found)
    return found


def _is_hook(module: object, name: str) -> bool:
    return hasattr(getattr(module, name, None), "gie_impl")


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


def _reject_repetitions(declarations: Sequence[Declaration]) -> None:
    seen: set[tuple[str, str]] = set()
    for each in declarations:
        if (each.kind, each.name) in seen:
            raise DeclarationError(f"it declares the {each.kind} {each.name!r} twice")
        seen.add((each.kind, each.name))
