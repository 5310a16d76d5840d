"""Names of files: one spelling whoever wrote them, never longer than a file system takes, and those of no content."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

LONGEST = 255  # bytes that a name may have on ext4, xfs, btrfs, apfs


def one_spelling(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS hands out "ë" as two characters, others as one.

    Bytes that are no text, which Python keeps as lone surrogates and no UTF-8 file takes, are spelled out.

    >>> one_spelling("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return writable(unicodedata.normalize("NFC", name))


def writable(text: str) -> str:
    """The text with lone surrogates spelled out in JSON's way."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def within_limit(name: str, ending: str) -> str:
    """`name + ending`; where that is too long for a file system, the name's end gives way to a digest of the whole.

    >>> within_limit("anna", ".part"), len(within_limit("n" * 255, ".part"))
    ('anna.part', 255)
    """
    if len(os.fsencode(name + ending)) <= LONGEST:
        return name + ending
    ending = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{ending}"
    while len(os.fsencode(name + ending)) > LONGEST:
        name = name[:-1]
    return name + ending


def stays_below(name: str) -> bool:
    """Whether a name, which may have folders in it, stays below the folder that it is put into.

    >>> stays_below("mine/first"), stays_below("../mine"), stays_below("/mine"), stays_below("")
    (True, False, False, False)
    """
    return not {*re.split(r"[/\\]", name)} & {"", ".", ".."}


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot: `._a.mp4` is what macOS notes about a.mp4 on foreign disks, and no video."""
    return path.name.startswith(".")
