"""The base of all errors that are meant for the user."""

from __future__ import annotations

__all__ = ["GieError"]


class GieError(Exception):
    """Something the user can act on.

    The message is one sentence: what is wrong, where, and what to do. The command
    line prints it and exits with status 2.
    """
