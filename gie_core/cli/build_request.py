"""What the user asks of ``gie build``, read and checked before the work."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gie_core.cli.model import ENGINE_SUFFIX, MAX_DIGITS, is_engine
from gie_core.errors import GieError

__all__ = [
    "check_cache",
    "check_engine_path",
    "parse_bytes",
    "parse_pins",
    "parse_precision",
    "parse_shapes",
]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_shapes(texts: Sequence[str]) -> list[dict[str, tuple[int, ...]]]:
    """Shapes by input, for each profile: ``x=1x3x224x224,mask=1x224``.

    Raises:
        GieError: one does not read so.
    """
    return [_profile(text) for text in texts]


def _profile(text: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for part in text.split(","):
        name, equals, extents = part.rpartition("=")
        dims = extents.split("x") if extents != "scalar" else []
        if not equals or not name or not all(d.isdecimal() and len(d) <= MAX_DIGITS for d in dims):
            raise GieError(
                f"--shape {text} must read NAME=1x3x224x224, with a comma between several inputs; "
                "give it again for another profile"
            )
        if name in shapes:
            raise GieError(
                f"--shape {text} has the input {name!r} twice; give --shape again for another "
                "profile"
            )
        shapes[name] = tuple(map(int, dims))
    return shapes


def parse_bytes(text: str) -> int:
    """A number of bytes: ``4096``, ``64K``, ``64M``, ``1G``, in powers of 1024.

    Raises:
        GieError: it does not read so.
    """
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)(i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise GieError(f"--workspace {text} must be a number of bytes, such as 65536, 64K or 64M")
    return int(found[1]) * _UNITS[found[2].upper()]


def parse_pins(pairs: Sequence[str]) -> dict[str, str]:
    """What must run a node: ``NODE=PROVIDER`` or ``NODE=PROVIDER CANDIDATE``.

    Raises:
        GieError: a pair does not read so, or speaks of a node twice.
    """
    pins: dict[str, str] = {}
    for pair in pairs:
        name, _, wish = pair.rpartition("=")
        name = name.strip().removeprefix("%")
        if not name or not wish.strip():
            raise GieError(f"--pin {pair} must read NODE=PROVIDER or 'NODE=PROVIDER CANDIDATE'")
        if name in pins:
            raise GieError(f"--pin {name} is given twice")
        pins[name] = wish.strip()
    return pins


def parse_precision(text: str) -> tuple[str, ...]:
    """Names with commas between them; what they may be is the build's to say."""
    return tuple(name.strip() for name in text.split(","))


def check_engine_path(path: Path) -> None:
    """See before the work whether an engine can be written there.

    Raises:
        GieError: the name has another suffix or is a folder's, or its folder does not exist.
    """
    if not is_engine(path):
        raise GieError(f"--output {path} must end in {ENGINE_SUFFIX}")
    _check_place("--output", path)


def check_cache(path: Path) -> None:
    """See before the work whether a timing cache is or can be there.

    Raises:
        GieError: it is no timing cache, or can't be written.
    """
    from gie_core.builder.timing_cache import TimingCache

    _check_place("--timing-cache", path)
    TimingCache.load(path)


def _check_place(option: str, path: Path) -> None:
    if os.path.isdir(path):  # unlike Path's, it knows no errors
        raise GieError(f"{option} {path} is a folder")
    if not os.path.isdir(path.parent):
        raise GieError(f"{option} {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise GieError(f"{option} {path}: the folder {path.parent} can't be written to")
