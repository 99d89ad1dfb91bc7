"""Targets: what a build is for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gie_core.errors import GieError

__all__ = ["HOST", "Target", "find_target"]

_CUDA = re.compile(r"cuda(:\d{1,3}|:sm_\d{2,3}a?)?")


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

    Args:
        name: "host" or "auto". "cuda", "cuda:0" (a GPU of this machine) and "cuda:sm_90" (one
            that needn't be there) are names of targets to come.

    Raises:
        GieError: there is no such target, or this version of GIE can't plan for it.
    """
    if name in ("auto", "host"):
        return HOST
    if _CUDA.fullmatch(name):
        raise GieError(f"this version of GIE has no executor for {name!r}; use 'host' or 'auto'")
    raise GieError(f"there is no target {name!r}; use 'host' or 'auto'")
