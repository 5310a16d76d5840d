"""What reaches a terminal: characters that can be seen, and that its encoding has. Loads nothing."""

from __future__ import annotations

import io
import logging
import re
import sys

__all__ = ["printable"]

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LINES = re.compile(r"[\t\n]")
LONGEST = 4_000  # characters of a sentence


def printable(text: object) -> str:
    """A text on one line, in which what steers a terminal stands as its code: escapes, bells, line breaks, and what
    turns the direction of writing round.

    >>> print(printable("a\\x1b[31mb\\nc\\u202ed"))
    a\\x1b[31mb\\nc\\u202ed
    """
    return LINES.sub(_code, printable_lines(text))


def printable_lines(text: object) -> str:
    """The same of a text that has several lines, which stay."""
    return STEERS.sub(_code, str(text))


def steers(text: str) -> bool:
    """Whether something in a text would steer a terminal, line breaks and tabs aside."""
    return STEERS.search(text) is not None


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def sentence(text: object) -> str:
    """An error as one printable line, its middle left out where it is endless."""
    said = printable(" ".join(str(text).split()))
    return said if len(said) <= LONGEST else f"{said[: LONGEST // 2]} … {said[-LONGEST // 2 :]}"


class PrintableFormatter(logging.Formatter):
    """Formats a log's lines so that what a file calls itself cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The message; what is put into it stays on its line."""
        shown = logging.makeLogRecord(vars(record))
        if isinstance(record.args, tuple):
            shown.args = tuple(arg if isinstance(arg, (int, float)) else printable(arg) for arg in record.args)
        return printable_lines(super().format(shown))


def write_anything() -> None:
    """Standard output and error put what their encoding lacks as codes (`\\u2013`), instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
