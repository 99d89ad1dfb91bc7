"""What engines are run by: the one place that knows the runtime, the plugins and the builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gie_core.engine.file import Package
from gie_core.kernels.provider import NamedProvider
from gie_core.plugin.host import PluginHost
from gie_core.runtime.host import HostExecutor

__all__ = ["HostMaker"]


@dataclass(frozen=True)
class HostMaker:
    """Makes executors for the host.

    Args:
        providers: of kernels, in the order in which they are asked.
        host: where passes are found, for new weights.
    """

    providers: Sequence[NamedProvider]
    host: PluginHost

    def executor(self, package: Package) -> HostExecutor:
        """What runs a package."""
        return HostExecutor(package.graph, package.plans, self.providers)

    def refitted(self, package: Package, weights: Mapping[str, Any]) -> Package:
        """The package with other weights."""
        from gie_core.builder.refit import refitted  # most engines run without the builder

        return refitted(package, weights, self.providers, self.host)
