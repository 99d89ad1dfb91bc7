"""Where and how timings are made: whatever a timing depends on besides the kernel."""

from __future__ import annotations

import functools
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

__all__ = ["Environment", "host_environment", "last_level_cache"]

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
_CPU = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Environment:
    """A timing is good for builds with an equal environment.

    Args:
        target: as it is named to ``build``.
        device: the model of the CPU or GPU.
        libraries: names and versions of those whose kernels run, and their configuration.
        threads: how many run a kernel; 0 on a device that decides itself.
        workspace: the cap in bytes; ``None`` for no cap.
        cold: weights came from memory, not from a cache.
    """

    target: str
    device: str
    libraries: tuple[str, ...]
    threads: int = 0
    workspace: int | None = None
    cold: bool = False

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def host_environment(workspace: int | None = None, cold: bool = False) -> Environment:
    """The environment of kernels on this machine's CPU."""
    python = ".".join(platform.python_version_tuple()[:2])
    libraries = (f"Python {python}", f"numpy {np.__version__}", _blas())
    return Environment("host", _cpu_model(), libraries, _threads(), workspace, cold)


@functools.cache
def last_level_cache() -> int:
    """Bytes of the CPU's largest cache; 32 MiB where the system does not say."""
    sizes = [_kilobytes(path) for path in _CPU.glob("index*/size")]
    return 1024 * max(sizes, default=0) or 32 << 20


def _kilobytes(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    number, unit = text[:-1], text[-1:]
    return int(number) * {"K": 1, "M": 1024}.get(unit, 0) if number.isdigit() else 0


@functools.cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(names, "") or platform.processor() or platform.machine()
    return f"{model} x{os.cpu_count()}"


@functools.cache
def _blas() -> str:
    """Name, version and build options of NumPy's BLAS, and the vector units NumPy found."""
    config = cast("dict[str, Any]", np.show_config(mode="dicts"))
    blas = config.get("Build Dependencies", {}).get("blas", {})
    facts = [blas.get(name, "") for name in ("name", "version", "openblas configuration")]
    vectors = config.get("SIMD Extensions", {}).get("found", [])
    return " ".join(map(str, [*facts, *vectors]))


def _threads() -> int:
    """How many threads BLAS uses: as it was told, else one per CPU that this process may use."""
    for name in _THREADS:
        if (value := os.environ.get(name, "").strip()).isdigit() and int(value):
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
