"""Where trained models lie that tests compare with; they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["models_dir"]


def models_dir() -> Path | None:
    """The folder named by ``GIE_MODELS``, else ``../shared/models`` beside the checkout.

    Returns:
        The folder, or ``None`` where there is none; tests that need it then skip and say so.
    """
    named = os.environ.get("GIE_MODELS")
    candidates = [Path(named)] if named else _beside(Path.cwd())
    return next((path for path in candidates if path.is_dir()), None)


def _beside(folder: Path) -> list[Path]:
    """``../shared/models`` of the folder and of those above it: tests may run in a folder below."""
    return [parent.parent / "shared" / "models" for parent in (folder, *folder.parents)]
