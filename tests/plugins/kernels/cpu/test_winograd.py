"""Winograd's matrices are exact, and lose no more bits than the module says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gie_core.ir.graph import Node
from gie_core.kernels.candidate import Candidate
from gie_core.runtime.target import Target
from gie_core.testing.kernels import check_node
from gie_kernels_cpu.provider import CpuProvider
from gie_kernels_cpu.winograd import transforms


@pytest.mark.parametrize("edge", [2, 4])
def test_transforms(edge: int) -> None:
    rng, size = np.random.default_rng(edge), edge + 2
    tile, kernel = rng.standard_normal((size, size)), rng.standard_normal((3, 3))
    matrices = transforms(edge)
    weight = (matrices.kernel @ kernel @ matrices.kernel.T).reshape(-1)
    products = weight * (matrices.inputs @ tile.reshape(-1))
    answer = matrices.results @ np.append(products, 0.5)  # the bias comes last
    windows = np.lib.stride_tricks.sliding_window_view(tile, (3, 3))
    right = np.einsum("ijkl,kl->ij", windows, kernel) + 0.5
    np.testing.assert_allclose(answer.reshape(edge, edge), right, atol=1e-12)


class Exact(CpuProvider):
    """Offers what computes and stores everything in f32, by one method."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._names = {f"{method} {order}" for order in ("NCHW", "NHWC")}

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return [c for c in super().candidates(node, target) if c.name in self._names]


@pytest.mark.parametrize(("edge", "error"), [(2, 0.7e-6), (4, 2e-6)])
def test_error(edge: int, error: float) -> None:
    check_node(
        Exact(f"winograd {edge}x{edge}"),
        "conv(%x, %w) {pads = [1, 1, 1, 1]}",
        {"x": "f32[1, 128, 16, 16]"},
        {"w": "f32[16, 128, 3, 3]"},
        tolerance=error,
    )
