"""``benchmarks/`` is no package: its files find each other beside the script that runs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
