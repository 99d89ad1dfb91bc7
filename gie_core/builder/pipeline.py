"""The way from a model to an engine, as a table of contents."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from gie_core.builder.accuracy import Accuracy, storage_types
from gie_core.builder.environment import host_environment, last_level_cache
from gie_core.builder.importing import import_model
from gie_core.builder.passes import Pass, PassError, run_passes, sort_passes
from gie_core.builder.planner import Clocks, plan_graph
from gie_core.builder.profiles import (
    Shapes,
    check_runnable,
    likely_sizes,
    profile_sizes,
    sharing_weights,
)
from gie_core.builder.report import BuildReport, ImportReport, PassRecord
from gie_core.builder.timing_cache import Timing, TimingCache
from gie_core.builder.tuner import Job, Tuner, TunerOptions
from gie_core.builder.whole import PlanTimer
from gie_core.engine.engine import Engine
from gie_core.engine.file import Package, ProviderVersion
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.executors import HostMaker
from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph, Node
from gie_core.kernels.provider import NamedProvider
from gie_core.plugin.declarations import PassDeclaration
from gie_core.plugin.host import PluginHost, default_host
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import Target, find_target

__all__ = ["Watch", "build", "import_graph", "installed_passes", "optimize"]


class Watch(Protocol):
    """Looks on while a build measures."""

    def begins(self, node: Node, candidates: int) -> None:
        """So many candidates of a node are timed next."""
        ...

    def timed(self, job: Job, timing: Timing, cached: bool) -> None:
        """A candidate's time is known."""
        ...

    def progress(self, done: int, jobs: int, spent: float, left: float) -> None:
        """So many of all candidates are done, in so many seconds; so many are likely left."""
        ...


Observer = Callable[[PassRecord, Graph], None]
Progress = Callable[[str], None]


def build(
    source: object,
    *,
    target: str = "auto",
    shapes: Shapes | None = None,
    precision: Collection[str] = ("fp32",),
    max_error: float = 1e-2,
    calibration: Mapping[str, Any] | None = None,
    prefer: Literal["time", "memory"] = "time",
    workspace: int | None = None,
    timing: bool | TunerOptions = False,
    timing_cache: str | os.PathLike[str] | None = None,
    pins: Mapping[str, str] | None = None,
    refit: bool = False,
    optimized: bool = True,
    host: PluginHost | None = None,
    observe: Observer | None = None,
    progress: Progress = lambda stage: None,
    watch: Watch | None = None,
    **options: Any,
) -> Engine:
    """Make an engine of a model.

    Args:
        source: a path, ``bytes``, a live object of a framework, or a ``Graph`` (which is
            copied, not changed).
        target: "host", or "auto" for the best this machine has.
        shapes: of the inputs, by name, or several such dicts: a plan is made for each. At
            other sizes an engine runs too, by a plan that is made when they first come. Not
            needed where all shapes are known.
        precision: how values of type f32 may be stored: "fp32", "fp16", "bf16". Kernels compute
            in f32 all the same. More than "fp32" needs timing, which checks kernels too.
        max_error: relative error, in the Frobenius norm, that reduced precision may bring into
            each output. The engine is measured, and planned again until it keeps to it.
        calibration: inputs by name to measure errors with; made-up ones serve without.
        prefer: what to save: time, or bytes of weights and values. "memory" needs timing too.
        workspace: bytes of scratch memory that a kernel may need.
        timing: time the candidates of every node and the best plans as a whole; otherwise the
            cost model decides. ``TunerOptions`` say how long that may take.
        timing_cache: a file of timings: what it knows is not timed again, what becomes known is
            added, also when the build is interrupted. It makes builds equal to the byte.
        pins: what must run a node: a provider ("cpu") or the beginning of one of its candidates
            ("cpu im2col"), by the name of the node's result or of a node of the model.
        refit: keep the model's weights, so that ``Engine.refit`` can exchange them.
        optimized: run the optimization passes.
        host: where plugins are found; by default everything installed.
        observe: called after each pass with its record and the graph as it then is.
        progress: called with a few words as each stage begins.
        watch: told of every candidate that is timed.
        **options: the importer's own.

    Raises:
        GieError: what is wrong, where, and what to do, in one sentence.
    """
    host = host or default_host()
    goal = find_target(target)
    progress("importing")
    graph, imported = import_graph(source, host, **options)
    report = BuildReport(imported=imported, nodes_before=len(graph))
    before = clone_graph(graph) if refit else None
    if optimized:
        progress("optimizing")
        report.passes = optimize(graph, host, observe)
    progress("choosing kernels")
    accuracy = Accuracy(storage_types(precision), max_error, calibration, prefer == "memory")
    measured = bool(accuracy.storage) or accuracy.memory
    if measured and calibration is None:
        report.notes.append("no calibration data is given: errors are measured on made-up inputs")
    timing = timing or measured
    providers = kernel_providers(host, goal)
    check_runnable(graph, goal, providers)
    plans: list[Plan] = []
    with _clocks(goal, timing, timing_cache, workspace, _are_cold(graph), host, watch) as clocks:
        for sizes in _profiles(graph, shapes, report):
            planned = plan_graph(
                graph,
                sizes,
                goal,
                providers,
                workspace=workspace,
                clocks=clocks,
                pins=pins,
                accuracy=accuracy,
            )
            plans.append(planned.plan)
            report.plans.append(planned.record)
            if planned.note:
                report.notes.append(planned.note)
            report.choices = report.choices or list(planned.choices)
    if len(plans) > 1:
        plans = sharing_weights(plans)
    report.nodes_after = len(report.choices) or len(graph)
    report.failed_plugins = host.failures()
    host.build_finished(report)
    package = Package(
        graph=graph,
        plans=tuple(plans),
        target=str(goal),
        providers=tuple(_versions(plans, providers)),
        report=report.reproducible(),
        source=before,
    )
    return Engine(package, HostMaker(providers, host), report)


def _profiles(graph: Graph, shapes: Shapes | None, report: BuildReport) -> list[dict[str, int]]:
    """For which sizes to plan; without ``shapes``, for those that are most likely to come."""
    profiles = profile_sizes(graph, shapes)
    if profiles:
        return profiles
    sizes = likely_sizes(graph)
    if sizes is None:
        report.notes.append("no shapes are given: plans are made when inputs come")
        return []
    given = ", ".join(f"{name} = {n}" for name, n in sizes.items())
    report.notes.append(f"no shapes are given: planned for {given}, and for others when they come")
    return [sizes]


def _are_cold(graph: Graph) -> bool:
    """Whether the weights don't stay in the caches from one run to the next."""
    return sum(v.data.nbytes for v in graph.constants if v.data is not None) > last_level_cache()


@contextmanager
def _clocks(
    target: Target,
    timing: bool | TunerOptions,
    path: str | os.PathLike[str] | None,
    workspace: int | None,
    cold: bool,
    host: PluginHost,
    watch: Watch | None,
) -> Generator[Clocks | None, None, None]:
    """What measures, if the build is to. The timings are saved whatever happens."""
    if timing is False and path is None:
        yield None
        return
    cache = TimingCache() if path is None else TimingCache.load(Path(path))

    def timed(job: Job, found: Timing, cached: bool) -> None:
        node = job.node.results[0].name
        host.candidate_timed(node, job.provider.name, job.candidate.name, found)
        if watch is not None:
            watch.timed(job, found, cached)

    environment = host_environment(workspace=workspace, cold=cold)
    tuner = Tuner(
        target,
        environment,
        cache,
        options=timing if isinstance(timing, TunerOptions) else None,
        progress=None if watch is None else watch.progress,
        observe=timed,
        begin=None if watch is None else watch.begins,
    )
    try:
        yield Clocks(tuner, PlanTimer(cache, environment))
    finally:
        if path is not None:
            cache.save(Path(path))


def _versions(
    plans: Iterable[Plan], providers: Iterable[NamedProvider]
) -> Iterator[ProviderVersion]:
    """The providers that the plans name; those of the core come with GIE itself."""
    named = {step.provider for plan in plans for step in plan.steps}
    for each in providers:
        if each.name in named and each.plugin:
            yield ProviderVersion(each.name, each.plugin, each.version)


def import_graph(
    source: object, host: PluginHost, **options: Any
) -> tuple[Graph, ImportReport | None]:
    """The graph of a model and the importer's report; a ``Graph`` is copied."""
    if isinstance(source, Graph):
        _reject_options(options)
        return clone_graph(source), None
    imported = import_model(source, host, **options)
    return imported.graph, imported.report


def _reject_options(options: Iterable[str]) -> None:
    for name in options:
        own = list(inspect.signature(build).parameters)[1:-1]
        close = difflib.get_close_matches(name, own, 1)
        hint = f"did you mean {close[0]!r}?" if close else "a Graph takes no importer options"
        raise GieError(f"there is no option {name!r}; {hint}")


def optimize(
    graph: Graph, host: PluginHost | None = None, observe: Observer | None = None
) -> list[PassRecord]:
    """Run all installed passes on a graph, in place.

    Raises:
        PassError: passes can't be ordered, or one broke its contract.
    """
    host = host or default_host()

    def finished(record: PassRecord, state: Graph) -> None:
        host.pass_finished(record)
        if observe is not None:
            observe(record, state)

    passes, owners = _passes_and_owners(host)
    return run_passes(graph, passes, finished, owners)


def installed_passes(host: PluginHost) -> list[Pass]:
    """One instance of every declared pass, in the order in which they run."""
    return _passes_and_owners(host)[0]


def _passes_and_owners(host: PluginHost) -> tuple[list[Pass], dict[str, str]]:
    made = host.load_all(host.passes(), _make)
    owners = {each.name: owned.plugin.name for owned, each in made}
    return sort_passes([each for _, each in made], owners), owners


def _make(factory: Callable[[], object], declared: PassDeclaration) -> Pass:
    made = factory()
    if not isinstance(made, Pass) or made.name != declared.name:
        raise PassError(
            f"the pass declared as {declared.name!r} is {made!r}; it must be a Pass of that name"
        )
    return made
