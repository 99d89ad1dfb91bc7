"""0/1 programs: linear rows over binary variables, minimized exactly by HiGHS."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.types import Array

__all__ = ["BinaryProgram", "SolverError"]

_OPTIMAL, _INFEASIBLE = 0, 2  # SciPy's codes; the others say that the solver gave up
_FIRST_GAP = 1e-3
"""How far above the relaxation, relatively, a solution is looked for first."""


class SolverError(GieError):
    """The solver gave up on a program that it should have solved."""


class BinaryProgram:
    """Minimizes Σ cost · variable over variables that are 0 or 1 and fulfil all rows.

    The relaxation to fractions is solved first, and once. Its duals bound from below what any
    solution costs that has a given variable (reduced cost fixing: G. Nemhauser, L. Wolsey,
    "Integer and Combinatorial Optimization", 1988, II.5.1). The exact solver then gets only the
    variables that some solution near that bound can have, mostly a few in a hundred; if what it
    finds lies further away, it gets the others up to there too. Rows only take solutions away, so
    the bounds stay right when more are added.

    Equal rows in equal order have equal answers: HiGHS is deterministic.

    Args:
        costs: float64 [variables], whole numbers whose sum is below 2⁵³.
        ties: likewise; their sum decides between solutions of equal cost. Without them HiGHS does.
    """

    def __init__(self, costs: Array, ties: Array | None = None) -> None:
        self._costs = costs
        self._ties = ties
        self._columns: list[int] = []
        self._coefficients: list[float] = []
        self._starts: list[int] = [0]
        self._low: list[float] = []
        self._high: list[float] = []
        self._bounds: Array | None = None  # of the cost of any solution that has the variable
        self._limit = 0.0

    def add(
        self, plus: Iterable[int], minus: Iterable[int] = (), *, high: float, equal: bool = False
    ) -> None:
        """Add the row ``Σ plus - Σ minus ≤ high``, or ``=``; no variable is named twice."""
        for columns, coefficient in ((plus, 1.0), (minus, -1.0)):
            self._columns += columns
            self._coefficients += [coefficient] * (len(self._columns) - len(self._coefficients))
        self._close(high if equal else -math.inf, high)

    def add_weighted(self, coefficients: Array, high: float) -> None:
        """Add the row ``Σ coefficient · variable ≤ high``, over all variables."""
        used = np.flatnonzero(coefficients)
        self._columns += used.tolist()
        self._coefficients += coefficients[used].tolist()
        self._close(-math.inf, high)

    def minimize(self) -> Array | None:
        """The variables that are 1 in the best solution.

        Returns:
            int64 [number of ones], ascending; ``None`` if nothing fulfils all rows.

        Raises:
            SolverError: HiGHS gave up.
        """
        if not self._costs.size:
            fulfilled = all(a <= 0 <= b for a, b in zip(self._low, self._high, strict=True))
            return np.empty(0, np.int64) if fulfilled else None
        if self._bounds is None:
            self._bounds = self._relaxed()
            self._limit = (1 + _FIRST_GAP) * float(self._bounds.min())
        ones = self._cheapest(self._bounds)
        if ones is None or self._ties is None:
            return ones
        least = float(self._costs[ones].sum())
        self.add_weighted(self._costs, least)
        best = self._solve(self._ties, _within(self._bounds, least))
        self._remove_last()
        return best

    def _cheapest(self, bounds: Array) -> Array | None:
        """A solution of least cost: the best of all variables up to a limit that it keeps."""
        while True:
            variables = _within(bounds, self._limit)
            ones = self._solve(self._costs, variables)
            cost = math.inf if ones is None else float(self._costs[ones].sum())
            if cost <= self._limit or variables.size == bounds.size:
                return ones
            self._limit = min(cost, 4 * self._limit - 3 * float(bounds.min()) + 1)

    def _relaxed(self) -> Array:
        """For each variable, what a solution that has it costs at least.

        For any duals y ≤ 0 of the rows ``≤`` and any y of those ``=``, no solution costs less
        than y·high + Σ min(0, cost - Aᵀy), and one with variable j by max(0, (cost - Aᵀy)ⱼ) more.
        """
        from scipy import optimize  # large, and only a build needs it

        rows, high = self._rows(), np.array(self._high)
        equal = np.array(self._low) == high
        answer: Any = optimize.linprog(  # pyright: ignore[reportUnknownMemberType] - untyped
            self._costs,
            A_ub=rows[~equal],
            b_ub=high[~equal],
            A_eq=rows[equal],
            b_eq=high[equal],
            bounds=(0, 1),
        )
        if answer.status != _OPTIMAL:
            return np.zeros_like(self._costs)
        duals = np.zeros(len(high))
        duals[~equal] = np.minimum(answer.ineqlin.marginals, 0)
        duals[equal] = answer.eqlin.marginals
        reduced = self._costs - rows.T @ duals
        return duals @ high + np.minimum(reduced, 0).sum() + np.maximum(reduced, 0)

    def _solve(self, costs: Array, variables: Array) -> Array | None:
        """The ones of the best solution that has no variables but these."""
        from scipy import optimize

        low, high = (np.array(ends) for ends in (self._low, self._high))
        within: Any = optimize.LinearConstraint(self._rows()[:, variables], low, high)  # pyright: ignore[reportArgumentType] - annotated as scalars
        answer: Any = optimize.milp(  # pyright: ignore[reportUnknownMemberType] - untyped
            costs[variables],
            integrality=np.ones(variables.size),
            bounds=optimize.Bounds(0, 1),
            constraints=within,
            options={"mip_rel_gap": 0},
        )
        if answer.status == _INFEASIBLE:
            return None
        if answer.status != _OPTIMAL:
            raise SolverError(f"HiGHS could not choose the kernels: {answer.message}")
        return variables[answer.x > 0.5]

    def _rows(self) -> Any:
        from scipy import sparse

        return sparse.csr_array(
            (self._coefficients, self._columns, self._starts),
            shape=(len(self._low), self._costs.size),
        )

    def _close(self, low: float, high: float) -> None:
        self._starts.append(len(self._columns))
        self._low.append(low)
        self._high.append(high)

    def _remove_last(self) -> None:
        for ends in (self._low, self._high, self._starts):
            ends.pop()
        del self._columns[self._starts[-1] :], self._coefficients[self._starts[-1] :]


def _within(bounds: Array, limit: float) -> Array:
    """The variables that a solution of this cost can have; the bounds are not quite exact."""
    return np.flatnonzero(bounds <= limit + 1)
