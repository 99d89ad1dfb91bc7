"""Tokens of the text form."""

from __future__ import annotations

import re
from typing import NamedTuple

from gie_core.errors import GieError

__all__ = ["Lexer", "TextError", "Token"]

_TOKEN = re.compile(
    r"""
    (?:[ \t\r\n]+ | \#[^\n]*)*+
  (?:
    (?P<value>%(?:[\w./]+ | "(?:[^"\\\n]|\\.)*"))
  | (?P<bytes>b"[A-Za-z0-9+/=]*")
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<program>`[^`]*`)
  | (?P<complex>\([-+\d.einfa]*j\) | -?[\d.][-+\d.einfa]*j)
  | (?P<number>-?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|inf\b|nan\b))
  | (?P<name>[A-Za-z_][\w.]*)
  | (?P<mark>->|//|[{}\[\]()<>=,:+*-])
  | (?P<end>\Z)
  | (?P<other>.)
  )
    """,
    re.VERBOSE | re.ASCII,
)


class TextError(GieError):
    """A text is not a graph; the message gives line and column."""


class Token(NamedTuple):
    """A piece of text: its kind (a group of the pattern, or "end"), its text and position."""

    kind: str
    text: str
    position: int


class Lexer:
    """Tokens of a text, one look ahead.

    Args:
        text: what to read.
        where: what the text is, for error messages ("a graph", a file's name).
    """

    def __init__(self, text: str, where: str = "graph text") -> None:
        self._text = text
        self._where = where
        self._end = 0
        self.token = self._scan()

    def _scan(self) -> Token:
        match = _TOKEN.match(self._text, self._end)
        assert match is not None, "everything is a token, or another character"
        kind = str(match.lastgroup)
        if kind == "other":
            raise self.error(f"unexpected character {match[kind]!r}", match.start(kind))
        self._end = match.end()
        return Token(kind, match[kind], match.start(kind))

    def next(self) -> Token:
        """Take the current token."""
        token, self.token = self.token, self._scan()
        return token

    def whole(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what a pattern matches from the current token on; ``None`` if it does not.

        For what is frequent and more than a token.

        Args:
            pattern: ends where a token ends.
        """
        match = pattern.match(self._text, self.token.position)
        if match is not None:
            self._end = match.end()
            self.token = self._scan()
        return match

    def at(self, text: str) -> bool:
        """Whether the current token is this mark or name."""
        return self.token.text == text and self.token.kind in ("mark", "name")

    def accept(self, text: str) -> bool:
        """Take the current token if it is this mark or name."""
        if self.at(text):
            self.next()
            return True
        return False

    def expect(self, text: str) -> Token:
        """Take this mark or name.

        Raises:
            TextError: something else stands here.
        """
        if not self.at(text):
            raise self.error(f"expected {text!r}, found {self.token.text or 'the end'!r}")
        return self.next()

    def take(self, kind: str) -> Token:
        """Take a token of a kind.

        Raises:
            TextError: something else stands here.
        """
        if self.token.kind != kind:
            raise self.error(f"expected a {kind}, found {self.token.text or 'the end'!r}")
        return self.next()

    def error(self, message: str, position: int | None = None) -> TextError:
        """An error at a position, by default that of the current token."""
        at = self.token.position if position is None else position
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        return TextError(f"{self._where}, line {line}, column {column}: {message}")
