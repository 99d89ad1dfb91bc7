"""The provider keeps the contract of kernel providers.

Every case takes some compilations, so these are not all there are: geometry, broadcasting and
functions have tests of their own.
"""

from __future__ import annotations

from gie_core.testing.conformance import check_provider, provider_cases
from gie_kernels_numba.provider import NumbaProvider

MORE = ["conv(f32[2, 4, 7, 7], const f32[4, 1, 3, 3]) {groups = 4, strides = [2, 2]}"]
COMPILED = {"relu", "gelu", "clip", "where", "erf", "cast"}


def test_conformance() -> None:
    cases = [
        case
        for case in provider_cases({"conv", "group", *COMPILED}, MORE)
        if "f16" not in str(case) or case.op == "conv"
    ]
    supported = {case.op for case in check_provider(NumbaProvider(), cases=cases)}
    assert supported == {"conv", "group", "relu", "gelu", "clip"}
