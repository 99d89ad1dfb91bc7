"""The hooks: everything a plugin can add to GIE, in the order of a build.

A plugin is a module named by an entry point of the group ``gie``. It implements
the hooks it needs, marked with ``hookimpl``. The hooks that declare are called once, when
the host is made, whatever it then does; they may return ``None`` for nothing. What they
declare is loaded when it is needed. No hook is called while an engine runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from gie_core.plugin.declarations import (
    AdapterDeclaration,
    CommandDeclaration,
    ImporterDeclaration,
    KernelProviderDeclaration,
    OpsDeclaration,
    PassDeclaration,
)

if TYPE_CHECKING:
    from gie_core.builder.report import BuildReport, PassRecord
    from gie_core.builder.timing_cache import Timing

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("gie")
hookimpl = pluggy.HookimplMarker("gie")


@hookspec
def gie_ops() -> list[OpsDeclaration] | None:
    """Declare ops that the core lacks.

    Called when the host is made; a set is loaded when the registry of ops is needed. All sets
    are merged; of two plugins with an op of one name, the later fails. A plugin's op has a
    dot in its name ("acme.swish"), so that it can't collide with a future core op.
    """


@hookspec
def gie_importers() -> list[ImporterDeclaration] | None:
    """Declare importers: what turns a model of some framework into a ``Graph``.

    Called when the host is made; an importer is loaded when a model is imported. Those whose
    suffixes or types fit are asked ``accepts(source)`` in order of name, then all others;
    the first that says yes imports it.
    """


@hookspec
def gie_passes() -> list[PassDeclaration] | None:
    """Declare optimization passes.

    Called when the host is made; a pass is loaded when a pipeline is assembled. All passes are
    sorted by their ``before`` and ``after``; a cycle is an error that names the passes and
    their owners.
    """


@hookspec
def gie_kernel_providers() -> list[KernelProviderDeclaration] | None:
    """Declare kernel providers: what runs nodes on a target.

    Called when the host is made; a provider is loaded when kernels are chosen for its target.
    Providers are asked in ``order`` whether they support a node; each rejection's reason is
    kept for the report.
    """


@hookspec
def gie_adapters() -> list[AdapterDeclaration] | None:
    """Declare adapters: calls that look native to a framework's users.

    Called when the host is made, to list them; users import an adapter's package themselves.
    """


@hookspec
def gie_cli() -> list[CommandDeclaration] | None:
    """Declare subcommands of ``gie``.

    Called when the host is made; a command's module is imported when it runs. The names of
    gie's own commands are taken.
    """


@hookspec
def gie_pass_finished(record: PassRecord) -> None:
    """Observe that a pass has run: its name, hits, refusals and time.

    Called after every pass, changed or not. Return values are ignored; an observer that
    raises is reported with the plugin's name and does not stop the build.
    """


@hookspec
def gie_candidate_timed(node: str, provider: str, candidate: str, timing: Timing) -> None:
    """Observe that a candidate was timed, or found in the timing cache.

    Called once for each candidate that differs from all before: the first result of a node that
    it runs, whose it is, its name, and what is known of it now. As for ``gie_pass_finished``, what
    an observer raises does not stop the build.
    """


@hookspec
def gie_build_finished(report: BuildReport) -> None:
    """Observe that an engine has been built: everything the build can tell about itself.

    Called at the end of every build. As for ``gie_pass_finished``, what an observer raises does
    not stop it.
    """
