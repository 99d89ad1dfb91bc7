"""Calling ``gie`` from a test, in this process."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

__all__ = ["Called", "call_gie"]


@dataclass(frozen=True)
class Called:
    """What a call did.

    Args:
        status: the exit status.
        out: what it printed on stdout.
        err: what it printed on stderr.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that is on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The last line of stderr, without ``gie: error:``; "" if that is no error."""
        last = self.err.splitlines()[-1:] or [""]
        return last[0].removeprefix("gie: error: ") if "gie: error: " in last[0] else ""


def call_gie(*arguments: object) -> Called:
    """Run ``gie`` with these arguments, without a terminal."""
    from gie_core.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Called(status, out.getvalue(), err.getvalue())
