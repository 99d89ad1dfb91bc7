"""One network in GIE and in onnxruntime, and a table of many."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS

import gie_core
from gie_core.cli.console import count
from gie_core.cli.contestants import load, result, warm
from gie_core.cli.deviation import outputs_error
from gie_core.cli.inputs import random_array
from gie_core.cli.machine import processor_name
from gie_core.cli.measure import race
from gie_core.cli.peers import ONNXRUNTIME, OnnxRuntime
from gie_core.errors import GieError

__all__ = ["Way", "describe_run", "measure", "measure_alone", "to_markdown"]

MOST_ERROR = 1e-3
"""Relative; who computes something else is not timed."""
COLUMNS = ("network", "GIE", "onnxruntime", "ratio", "build", "memory", "of onnxruntime")


@dataclass(frozen=True)
class Way:
    """How to measure.

    Args:
        threads: of onnxruntime; GIE's are set for the process.
        timing: GIE chooses kernels by timing them.
        rounds: turns of each.
        seconds: for the timed runs of each.
    """

    threads: int
    timing: bool
    rounds: int
    seconds: float


def measure(name: str, way: Way) -> dict[str, Any]:
    """Time single answers of a network.

    Returns:
        What ``contestants.result`` tells of both, the ratio of the medians, and how far the
        outputs differ.

    Raises:
        GieError: they differ by more than rounding.
    """
    source = NETWORKS[name](1, 0).SerializeToString()
    ours = load(lambda: gie_core.build(source, timing=way.timing))
    feed = _random_feed(ours.value)
    context = ours.value.context()
    mine = warm("GIE", gie_core.__version__, ours, partial(context.run, feed))
    mine = replace(mine, arena=context.memory_bytes)
    theirs = load(lambda: OnnxRuntime(source, threads=way.threads))
    peer = warm(ONNXRUNTIME, theirs.value.version, theirs, partial(theirs.value.run, feed))
    error = outputs_error(mine.outputs, peer.outputs)
    if error is None or error > MOST_ERROR:
        raise GieError(f"{name}: GIE and onnxruntime differ by {error}, so times mean nothing")
    timings = race([mine.run, peer.run], rounds=way.rounds, seconds=way.seconds)
    return {
        "network": name,
        "ratio": timings[0].median / timings[1].median,
        "output_error": error,
        "contestants": [result(mine, timings[0]), result(peer, timings[1])],
    }


def measure_alone(name: str, way: Way) -> dict[str, Any]:
    """The same in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, name, way).result()


def describe_run(way: Way) -> dict[str, Any]:
    """Where, with what and how the numbers come about."""
    return {
        "machine": processor_name(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        **asdict(way),
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """The results as a page."""
    versions = {each["name"]: each["version"] for each in document["networks"][0]["contestants"]}
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    chosen = "timing them" if document["timing"] else "the cost model"
    rows = [_row(each) for each in document["networks"]]
    lines = [
        f"# One answer at a time, {count(document['threads'], 'thread')}",
        "",
        f"{document['machine']}; {document['system']}; {document['date']}; {software} at "
        f"{document['commit'] or 'no commit'}, NumPy {document['numpy']}, "
        f"Python {document['python']}. Kernels chosen by {chosen}.",
        "",
        f"Median and quartiles in milliseconds, of {count(document['rounds'], 'turn')} each; "
        "ratio of the medians; seconds to build; megabytes by which the process grew.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|{'---:|' * (len(COLUMNS) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(network: Mapping[str, Any]) -> list[str]:
    ours, theirs = network["contestants"]
    return [
        network["network"],
        *(_milliseconds(each) for each in (ours, theirs)),
        f"{network['ratio']:.2f}",
        f"{ours['load_seconds']:.1f}",
        *(_megabytes(each["memory_bytes"]) for each in (ours, theirs)),
    ]


def _milliseconds(contestant: Mapping[str, Any]) -> str:
    low, high = contestant["quartiles_seconds"]
    return f"{contestant['median_seconds'] * 1e3:.1f} ({low * 1e3:.1f} – {high * 1e3:.1f})"


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.0f}"


def _random_feed(engine: gie_core.Engine) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {info.name: random_array(info, rng, {}) for info in engine.inputs}


def _commit() -> str | None:
    """The commit of this checkout, marked where files differ; ``None`` outside one."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
