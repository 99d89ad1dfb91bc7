"""Targets: what a build is for."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.errors import GieError

__all__ = ["HOST", "Target", "find_target"]


@dataclass(frozen=True)
class Target:
    """A machine that nodes run on.

    Args:
        kind: "host".
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


HOST = Target("host")


def find_target(name: str) -> Target:
    """The target of a name; "auto" is the best one this machine has.

    Raises:
        GieError: there is no such target.
    """
    if name in ("auto", "host"):
        return HOST
    raise GieError(f"there is no target {name!r}; use 'host' or 'auto'")
