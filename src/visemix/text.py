"""Texts that others wrote, as they may be shown."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with its control characters spelt out, which a terminal would obey: colours, titles, directions.

    >>> printable("a" + chr(27) + "[31mb") == "a" + chr(92) + "x1b[31mb"
    True
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
