"""Calling third parties' code: what it does wrong is said with the name of its plugin."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

from gie_core.errors import GieError

__all__ = ["blame", "checked"]

T = TypeVar("T")


@contextmanager
def blame(plugin: str, what: str) -> Generator[None, None, None]:
    """Turn whatever is raised inside into a ``GieError`` that names the plugin.

    Errors meant for the user pass as they are, and so does a lack of memory.

    Args:
        plugin: whose code runs; "" for code that no plugin brings, whose errors all pass.
        what: the thing that is called, and where ("the pass 'fold'").

    Raises:
        GieError: the code raised something else.
    """
    try:
        yield
    except (GieError, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # a third party's code: anything can come
        if not plugin:
            raise
        raise GieError(
            f"{what} of plugin {plugin!r} raised {type(error).__name__}: {error}; {_advice(plugin)}"
        ) from error


def checked(value: object, kind: type[T], plugin: str, what: str) -> T:
    """The value that a third party's code returned.

    Args:
        value: any object.
        kind: what it must be an instance of.
        plugin: as for ``blame``.
        what: as for ``blame``.

    Raises:
        GieError: it is of another type.
    """
    if isinstance(value, kind):
        return value
    owner = f" of plugin {plugin!r}" if plugin else ""
    advice = f"; {_advice(plugin)}" if plugin else ""
    raise GieError(
        f"{what}{owner} must return {_article(kind)}, not {_article(type(value))}{advice}"
    )


def _advice(plugin: str) -> str:
    return f"update it or block it with --block {plugin}"


def _article(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
