"""Numbers for people: times, bytes, errors."""

from __future__ import annotations

__all__ = ["bytes_text", "error_text", "time_text"]


def time_text(nanoseconds: float | None) -> str:
    """Three digits and a unit: "12.3 µs"; "" if nobody measured it."""
    if nanoseconds is None:
        return ""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{_digits(nanoseconds / size)} {unit}"
    return f"{nanoseconds:.0f} ns"


def bytes_text(size: float) -> str:
    """Three digits and a decimal unit: "4.19 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{_digits(size / factor)} {unit}"
    return f"{size:.0f} B"


def error_text(error: float | None) -> str:
    """Two digits: "1.2e-04"; "" if nobody measured it."""
    return "" if error is None else f"{error:.1e}"


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 999.5 else f"{number:#.3g}".rstrip(".")
