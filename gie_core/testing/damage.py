"""Engine files as nobody wrote them: damaged by accident, or made to do harm.

Both kinds of damage are seeded: the same generator gives the same files.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

__all__ = ["damaged", "edit"]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file's bytes with some of them flipped, missing, repeated, or another header's length."""
    changed = bytearray(content)
    rng.choice([_flip, _flip, _truncate, _splice, _header_length])(changed, rng)
    return bytes(changed)


def edit(body: dict[str, Any], rng: random.Random) -> None:
    """Change one or two values of a JSON document in place: numbers mostly, as an attacker would.

    Args:
        body: as ``read_container`` returns it; ``write_container`` makes a file with the right
            checksums of it.
        rng: decides.
    """
    for _ in range(rng.choice([1, 1, 2])):
        found = list(_spots(body))
        numbers = [(c, k) for c, k in found if type(c[k]) is int]
        container, key = rng.choice(numbers if rng.random() < 0.8 else found)
        container[key] = _changed(container[key], rng)


# ── Bytes ───────────────────────────────────────────────────────────────────────────────


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 1, 8])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _truncate(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _splice(content: bytearray, rng: random.Random) -> None:
    begin, target = rng.randrange(len(content)), rng.randrange(len(content))
    length = rng.choice([0, rng.randrange(300)])
    piece = content[begin : begin + rng.randrange(1, 300)]
    content[target : target + length] = piece


def _header_length(content: bytearray, rng: random.Random) -> None:
    old = int.from_bytes(content[:8], "little")
    new = rng.choice([old + rng.randrange(-300, 300), rng.getrandbits(rng.randrange(1, 65))])
    content[:8] = max(0, new).to_bytes(8, "little")


# ── JSON ────────────────────────────────────────────────────────────────────────────────


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys: list[Any] = []
    if hasattr(value, "keys"):
        keys = list(value.keys())
    elif hasattr(value, "append"):
        keys = list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _spots(value[key])


def _changed(value: Any, rng: random.Random) -> Any:
    anything: list[Any] = [None, True, -1, 0, 1.5, "", [], {}, [0, 0, 0], 2**31, 2**63, 2**200]
    anything.append("f64")
    if type(value) is int and rng.random() < 0.8:
        nearby = [value + 1, value - 1, value * 2, value // 2, -value, value + 64, value + 4]
        return rng.choice([*nearby, rng.randrange(300), 2 ** rng.randrange(70)])
    if isinstance(value, str) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice([*"0123456789,[]%{}", ""]) + value[at + 1 :]
    return rng.choice(anything)
