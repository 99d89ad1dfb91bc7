"""Loading engine files: the one place that knows both the runtime and, to rebuild, the builder."""

from __future__ import annotations

import os

from gie_core.engine.container import naming_damage, reading
from gie_core.engine.engine import Engine
from gie_core.engine.file import Package, ProviderVersion, unpack
from gie_core.executors import HostMaker
from gie_core.ir.specialize import extents
from gie_core.plugin.host import PluginHost, default_host
from gie_core.runtime.admission import admit
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import find_target

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    trust: bool = False,
    rebuild: bool = False,
    verify: bool = True,
    host: PluginHost | None = None,
) -> Engine:
    """Read an engine file and make it ready to run.

    Nothing in the file is executed unless it is trusted, and reading it is safe whatever is in it.

    Args:
        path: as ``Engine.save`` wrote it.
        trust: run native code from a file that this user did not write on this machine.
        rebuild: plan the network again from the graph inside, with the kernels that are
            installed here, by the cost model.
        verify: compare all weights with their checksums; without, only what isn't weights is.
        host: where plugins are found; by default everything installed.

    Raises:
        EngineFileError: the file can't be read, is damaged, is for another target, or was made
            with kernels that are not installed; the message says what to do.
    """
    with reading(path, verify=verify) as container:  # weights are compared while all this is done
        host = host or default_host()
        package = unpack(container, path, host.ops(), trust=trust, native=not rebuild)
        if rebuild:
            return _rebuilt(package, host)
        target = find_target("host")
        providers = kernel_providers(host, target)
        installed = [ProviderVersion(p.name, p.plugin, p.version) for p in providers if p.plugin]
        package.check_usable(path, str(target), installed)
        with naming_damage(path):
            admit(package.plans, providers, target)
        return Engine(package, HostMaker(providers, host))


def _rebuilt(package: Package, host: PluginHost) -> Engine:
    from gie_core.builder.pipeline import build  # the only way from here to the builder

    shapes = [
        {v.name: extents(v) for v in plan.graph.inputs} for plan in package.plans if plan.sizes
    ]
    return build(
        package.graph, target=package.target, shapes=shapes or None, optimized=False, host=host
    )
