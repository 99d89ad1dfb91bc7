"""Each pass against its pairs: ``pairs/<pass>/<case>.gie`` shows a graph before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from gie_core.testing.passes import check_pass_pair
from gie_passes_fusion.plugin import gie_passes

PAIRS = Path(__file__).parent / "pairs"
PASSES = {declaration.name: declaration for declaration in gie_passes()}
CASES = sorted(PAIRS.glob("*/*.gie"))

# Passes that compute with rounded numbers other than those of the graph; all others are exact.
ROUNDING = dict.fromkeys(["fold-affine", "fold-batch-norm", "merge-affine", "sink-transpose"], 1e-6)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pair(path: Path) -> None:
    name = path.parent.name
    check_pass_pair(path, PASSES[name].load()(), rtol=ROUNDING.get(name, 0.0))


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_is_called_as_declared(name: str) -> None:
    assert PASSES[name].load()().name == name


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_has_a_pair_that_changes_and_one_that_does_not(name: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (PAIRS / name).glob("*.gie")]
    assert any("# after" in text for text in texts)
    assert any("# unchanged" in text for text in texts)
