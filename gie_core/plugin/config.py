"""Which plugins the environment and the configuration file block.

``GIE_BLOCK=name,name`` and, in ``gie.toml`` of the current folder or in the file
that ``GIE_CONFIG`` names::

    block = ["name", "name"]
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, cast

from gie_core.errors import GieError

__all__ = ["blocked_plugins"]


def blocked_plugins() -> list[str]:
    """Names of the plugins to block, from both sources.

    Raises:
        GieError: the configuration file can't be read or is not of this form.
    """
    named = os.environ.get("GIE_BLOCK", "").split(",")
    return [name.strip() for name in [*named, *_configured()] if name.strip()]


def _configured() -> list[str]:
    explicit = os.environ.get("GIE_CONFIG") or None
    path = Path(explicit or "gie.toml")
    if explicit is None and not path.is_file():
        return []
    try:
        config: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise GieError(f"the configuration {path} cannot be read: {why}") from error
    unknown = sorted(config.keys() - {"block"})
    if unknown:
        raise GieError(f"{path}: there is no setting {unknown[0]!r}; the only one is 'block'")
    block: object = config.get("block", [])
    if not isinstance(block, list) or not all(
        isinstance(n, str) for n in cast("list[object]", block)
    ):
        raise GieError(
            f'{path}: block must be a list of plugin names, such as block = ["acme-ops"]'
        )
    return cast("list[str]", block)
