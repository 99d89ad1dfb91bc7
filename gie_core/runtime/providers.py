"""The kernel providers of a target, as the plugin host knows them."""

from __future__ import annotations

from collections.abc import Callable

from gie_core.kernels.provider import KernelProvider, NamedProvider
from gie_core.kernels.reference import REFERENCE, ReferenceProvider
from gie_core.plugin.host import PluginHost
from gie_core.runtime.target import Target

__all__ = ["kernel_providers"]


def kernel_providers(host: PluginHost, target: Target) -> list[NamedProvider]:
    """The providers for a target in the order in which they are asked, the reference last."""
    declared = [o for o in host.kernel_providers() if target.kind in o.declaration.targets]
    found = [
        NamedProvider(
            owned.declaration.name,
            provider,
            owned.plugin.name,
            owned.declaration.version or owned.plugin.version,
            owned.declaration.min_gain,
        )
        for owned, provider in host.load_all(declared, _make)
    ]
    return [*found, NamedProvider(REFERENCE, ReferenceProvider())]


def _make(factory: Callable[[], KernelProvider], declared: object) -> KernelProvider:
    return factory()
