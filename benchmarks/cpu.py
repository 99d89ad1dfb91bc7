"""GIE beside onnxruntime on this processor, one answer at a time, both in one process.

    python benchmarks/cpu.py --threads 2
    python benchmarks/cpu.py --networks squeezenet,resnet50 --quick

Both run in turns: GIE, onnxruntime, GIE, … Each turn begins with a pause and a run that does not
count. Every network has a process of its own, so that its memory can be told. The results go to
``results/cpu-2-threads.json`` and ``.md`` (``cpu-2-threads-no-timing`` with ``--no-timing``), and
the latter to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

# Nothing up here loads NumPy: its libraries read the number of threads when they are loaded.
from gie_core.cli.measure import ROUNDS
from gie_core.cli.threads import limit_threads
from gie_core.errors import GieError

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the benchmark; returns the exit status."""
    arguments = _parser().parse_args()
    try:
        with limit_threads(arguments.threads) as threads:
            return _run(arguments, threads)
    except GieError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--networks", help="some of them, with commas between; by default all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each")
    parser.add_argument("--seconds", type=float, default=5.0, help="for the timed runs of each")
    parser.add_argument(
        "--timing",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="choose kernels by timing them, or by a cost model",
    )
    parser.add_argument("--quick", action="store_true", help="one short turn of each")
    parser.add_argument("--output", type=Path, help="folder of the results", default=RESULTS)
    return parser


def _run(arguments: argparse.Namespace, threads: int) -> int:
    from networks import NETWORKS
    from side_by_side import Way, describe_run, measure_alone, to_markdown

    names = arguments.networks.split(",") if arguments.networks else list(NETWORKS)
    for name in names:
        if name not in NETWORKS:
            raise GieError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    way = Way(threads, arguments.timing, arguments.rounds, arguments.seconds)
    if arguments.quick:
        way = Way(threads, arguments.timing, rounds=1, seconds=0.2)
    results: list[dict[str, Any]] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        results.append(measure_alone(name, way))
    document = {**describe_run(way), "networks": results}
    text = to_markdown(document)
    arguments.output.mkdir(parents=True, exist_ok=True)
    chosen = "" if arguments.timing else "-no-timing"
    stem = arguments.output / f"cpu-{threads}-threads{chosen}"
    stem.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
