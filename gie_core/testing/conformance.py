"""Is a plugin's kernel provider fit for use? One line says so.

::

    def test_my_kernels():
        check_provider(MyProvider())

Or, with a test for each case::

    @pytest.mark.parametrize("case", provider_cases(), ids=str)
    def test_my_kernels(case):
        check_case(MyProvider(), case)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gie_core.errors import GieError
from gie_core.ir.op import OpRegistry
from gie_core.ir.specialize import is_static
from gie_core.ir.text import format_graph
from gie_core.kernels.provider import KernelProvider
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target
from gie_core.testing.cases import CASES, Case
from gie_core.testing.claims import check_support
from gie_core.testing.comparing import Tolerance
from gie_core.testing.judge import Judge
from gie_core.testing.node import calls_of, problems_of, static

__all__ = ["check_case", "check_provider", "provider_cases"]


def provider_cases(ops: Iterable[str] | None = None, more: Iterable[str] = ()) -> list[Case]:
    """The built-in cases: every op of the core, corners of geometry, several element types.

    Args:
        ops: only these ops, by name; "" stands for none but ``more``.
        more: cases of one's own, as text; see ``gie_core.testing.cases.case``.
    """
    names = None if ops is None else set(ops)
    own = [Case(row) for row in more]
    return [*own, *(case for case in CASES if names is None or case.op in names)]


def check_provider(
    provider: KernelProvider,
    *,
    cases: Sequence[Case] | None = None,
    ops: OpRegistry | None = None,
    target: Target = HOST,
    tolerance: Tolerance = None,
) -> list[Case]:
    """Check a provider with many nodes; see ``check_case``.

    Args:
        provider: must support one of them at least.
        cases: by default ``provider_cases()``.
        ops: all ops that occur; by default the core's.
        target: where to run.
        tolerance: relative error, one for all or by type; by default what fits the types.

    Returns:
        The cases that it supports.

    Raises:
        AssertionError: something is wrong; names all that is, each with the case and its graph.
    """
    supported: list[Case] = []
    failures: list[str] = []
    for case in provider_cases() if cases is None else cases:
        try:
            if check_case(provider, case, ops=ops, target=target, tolerance=tolerance):
                supported.append(case)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n\n".join([f"{len(failures)} cases fail", *failures])
    assert supported, "it supports none of the cases"
    return supported


def check_case(
    provider: KernelProvider,
    case: Case,
    *,
    ops: OpRegistry | None = None,
    target: Target = HOST,
    tolerance: Tolerance = None,
) -> bool:
    """Check what a provider says of a node, and runs if it supports it; see ``check_graph``.

    Beyond that a rejection must say why, and an answer must be the same a second time, for an
    equal node, and when the sizes are not known yet.

    Args:
        provider: may reject the node.
        case: the node.
        ops, target, tolerance: see ``check_provider``.

    Returns:
        Whether it supports the node.

    Raises:
        AssertionError: something is wrong.
    """
    ops = ops or core_ops()
    graph = static(case.graph(ops), {})
    (node,) = graph.nodes
    try:
        _check_symbolic(provider, case, ops, target)
        support = provider.supports(node, target)
        check_support(support)
        assert support == provider.supports(node, target), "supports() gives another answer later"
        assert not (support.open and is_static(node)), "it says later, but all shapes are known"
    except AssertionError as error:
        raise _failure(case, [str(error)]) from None
    except Exception as error:
        raise _failure(case, [f"supports() raises {type(error).__name__}: {error}"]) from error
    if support.ok:
        calls = [calls_of(graph, case.inputs(graph, seed))[node] for seed in range(2)]
        problems = problems_of(provider, Judge(graph, ops, tolerance), calls, target=target)
        if problems:
            raise _failure(case, [*problems, format_graph(graph)])
    return support.ok


def _check_symbolic(provider: KernelProvider, case: Case, ops: OpRegistry, target: Target) -> None:
    """Ask about the node when its first extent is not known."""
    try:
        graph = case.graph(ops, symbol="n")
    except GieError:
        return  # the op needs to know it
    (node,) = graph.nodes
    check_support(provider.supports(node, target))


def _failure(case: Case, problems: Sequence[str]) -> AssertionError:
    return AssertionError("\n".join([f"{case}", *problems]))
