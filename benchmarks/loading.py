"""From a fresh process to the first answer of an engine file, and what takes the time.

    python benchmarks/loading.py
    python benchmarks/loading.py --networks squeezenet --runs 9
    python benchmarks/loading.py --engine model.gie

The file is in the page cache, Python's bytecode on the disk: one run comes before those that count.
Median of the wall time and of the processor's time; the latter counts all threads.
"""

from __future__ import annotations

# The fresh process runs this file too: what only its parent needs is imported further down.
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MEASURE = "--measure"
"""Says that this is the fresh process."""
PARTS = {
    "graphs and ops read": ("gie_core.engine.file", "parse_graph"),
    "graphs verified": ("gie_core.engine.file", "verify"),
    "plans read": ("gie_core.engine.file", "plan_from_json"),
    "plugins found": ("gie_core.loading", "default_host"),
    "kernels imported": ("gie_core.loading", "kernel_providers"),
    "plans admitted": ("gie_core.loading", "admit"),
}
"""Functions that ``load`` calls, by the module that calls them."""

Clock = tuple[float, float]


def main() -> int:
    """Run the benchmark; returns the exit status."""
    if sys.argv[1:2] == [MEASURE]:
        print(_measure(sys.argv[2], float(sys.argv[3])))
        return 0
    import tempfile
    from pathlib import Path

    arguments = _parser().parse_args()
    if arguments.engine is not None:
        _report(str(arguments.engine), arguments.engine, arguments.runs)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks.split(","):
            path = Path(folder) / f"{name}.gie"
            _build(name, path, arguments.timing)
            _report(name, path, arguments.runs)
    return 0


def _parser() -> argparse.ArgumentParser:
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--networks", default="resnet50", help="with commas between")
    parser.add_argument("--engine", type=Path, help="an engine file, instead of networks")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--timing", action="store_true", help="choose kernels by timing them")
    return parser


def _build(name: str, path: Path, timing: bool) -> None:
    from networks import NETWORKS

    import gie_core

    gie_core.build(NETWORKS[name](1, 0).SerializeToString(), timing=timing).save(path)


def _report(name: str, path: Path, runs: int) -> None:
    """Measure a file, and print a line for everything that takes time."""
    import statistics

    results = [_fresh(path) for _ in range(1 + runs)][1:]
    print(f"{name}: {path.stat().st_size / 1e6:.0f} MB, median of {runs} processes, in ms")
    print(f"{'':26}{'wall':>8}{'processor':>11}")
    for part in results[0]:
        wall, processor = (statistics.median(each[part][k] for each in results) for k in (0, 1))
        print(f"{part:26}{wall * 1e3:8.0f}{processor * 1e3:11.0f}")


def _fresh(path: Path) -> dict[str, Clock]:
    import ast
    import os
    import subprocess

    command = [sys.executable, __file__, MEASURE, str(path), repr(time.time())]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return ast.literal_eval(done.stdout)


# ── In the fresh process ────────────────────────────────────────────────────────────────


def _measure(path: str, started: float) -> dict[str, Clock]:
    """Wall and processor seconds of every part, in order."""
    parts: dict[str, Clock] = {"Python starts": (time.time() - started, time.process_time())}

    @contextmanager
    def timed(part: str) -> Generator[None]:
        before = time.perf_counter(), time.process_time()
        yield
        spent = time.perf_counter() - before[0], time.process_time() - before[1]
        so_far = parts.get(part, (0.0, 0.0))
        parts[part] = so_far[0] + spent[0], so_far[1] + spent[1]

    with timed("NumPy imported"):
        import numpy as np
    with timed("gie_core imported"):
        import gie_core.loading  # pyright: ignore[reportUnusedImport] - its parts are looked up
    for part, (module, function) in PARTS.items():
        _time_function(sys.modules[module], function, timed, part)
    with timed("load"):
        engine = gie_core.load(path)
    named = [parts[part] for part in PARTS]
    load = parts.pop("load")
    parts["all else of load()"] = (
        load[0] - sum(p[0] for p in named),
        load[1] - sum(p[1] for p in named),
    )
    feed = {i.name: np.zeros([_extent(d) for d in i.shape or ()], i.dtype.numpy)
            for i in engine.inputs if i.dtype is not None}  # fmt: skip
    context = engine.context()
    with timed("kernels bound, first run"):
        context.run(feed)
    total = time.time() - started
    with timed("(a second run)"):
        context.run(feed)
    again = parts.pop("(a second run)")
    return {**parts, "all": (total, time.process_time() - again[1]), "(a second run)": again}


def _time_function(module: Any, name: str, timed: Callable[[str], Any], part: str) -> None:
    function = getattr(module, name)

    def wrapper(*arguments: Any, **named: Any) -> Any:
        with timed(part):
            return function(*arguments, **named)

    setattr(module, name, wrapper)


def _extent(dim: int | str) -> int:
    return dim if isinstance(dim, int) else 1


if __name__ == "__main__":
    sys.exit(main())
