"""What Acme tests its plugin with: GIE's own harness."""

from __future__ import annotations

import numpy as np

from gie_acme_swish.kernels import SwishKernels
from gie_acme_swish.op import Swish
from gie_core.plugin.host import PluginHost
from gie_core.testing.conformance import check_provider, provider_cases
from gie_core.testing.ops import check, draw

CASES = ["acme.swish(f32[3, 5]) {beta = 1.5}", "acme.swish(f32[2, 3, 4, 4])", "acme.swish(f64[3])"]


def test_op() -> None:
    x = draw(3, 5)
    check(Swish(), x, expect=x / (1 + np.exp(-x)))


def test_kernels() -> None:
    supported = check_provider(
        SwishKernels(), cases=provider_cases(more=CASES), ops=PluginHost().ops()
    )
    assert [str(case) for case in supported] == CASES[:2]
