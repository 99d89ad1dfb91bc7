"""What machine this is, and the memory this process has."""

from __future__ import annotations

import os
import platform
from contextlib import suppress

__all__ = ["peak_bytes", "processor_name", "resident_bytes"]


def processor_name() -> str:
    """The processor as its maker calls it, and how many there are."""
    name = _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} processors"


def resident_bytes() -> int | None:
    """Memory that this process now has; ``None`` where the system does not tell."""
    return _kibibytes("VmRSS")


def peak_bytes() -> int | None:
    """The most memory that this process ever had; ``None`` where the system does not tell."""
    return _kibibytes("VmHWM")


def _kibibytes(name: str) -> int | None:
    text = _field("/proc/self/status", name)
    return int(text.split()[0]) << 10 if text else None


def _field(path: str, name: str) -> str:
    """The value behind ``name:`` in one of the system's tables; "" where there is none."""
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
