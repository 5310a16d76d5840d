"""A page of numbers and pictures that opens anywhere: one HTML file without links or fonts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

Number = float | int

# No page asks a network for anything, and runs no script but its own, whatever stands in it.
POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none';"
)
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def page(title: str, blocks: Iterable[str], *, style: str = "", script: str = "") -> str:
    """A whole document. `blocks` are pieces of HTML, as the functions below give them; `style` and `script` are added
    to the page's own, and stand in it."""
    allowed = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" if script else "'none'"
    body = "\n".join([f"<h1>{escape(title)}</h1>", *blocks])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY} script-src {allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body><main>
{body}
</main>{f"<script>{script}</script>" if script else ""}</body>
</html>
"""


def heading(words: str, *, name: str = "") -> str:
    """A section's title; `name` is what `contents` leads to."""
    return f'<h2 id="{escape(name)}">{escape(words)}</h2>' if name else f"<h2>{escape(words)}</h2>"


def contents(places: Mapping[str, str]) -> str:
    """Links to the headings of a long page: name → words."""
    links = "".join(f'<a href="#{escape(name)}">{escape(words)}</a>' for name, words in places.items())
    return f'<nav aria-label="Contents">{links}</nav>'


def paragraph(words: str, *, note: bool = False) -> str:
    """Words as a paragraph; a `note` is smaller and paler."""
    return f'<p class="note">{escape(words)}</p>' if note else f"<p>{escape(words)}</p>"


def row(blocks: Iterable[str]) -> str:
    """HTML of pieces side by side where there is room."""
    return f'<div class="row">{"".join(blocks)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str | Number | None]]) -> str:
    """HTML of a table, numbers to the right; None is a dash: not measured, or without meaning."""
    lines = ["".join(f"<th>{escape(name)}</th>" for name in head)]
    lines += ["".join(_cell(value) for value in cells) for cells in rows]
    return f'<div class="scroll"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def picture(pixels: UInt8[np.ndarray, "H W 3"], caption: str) -> str:
    """A picture inside the page, as PNG."""
    source = inline(png(pixels), "image/png")
    return f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def png(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """A picture as a PNG file's content."""
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = pixels.shape[1], pixels.shape[0], "rgb24", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def video(path: str | Path, caption: str) -> str:
    """An mp4 inside the page, with controls."""
    clip = (
        f'<video controls loop playsinline preload="auto" src="{inline(Path(path).read_bytes(), "video/mp4")}"></video>'
    )
    return f"<figure>{clip}<figcaption>{escape(caption)}</figcaption></figure>"


def inline(data: bytes, kind: str) -> str:
    """A file's content as a data URL, which needs no file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _cell(value: str | Number | None) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{"—" if value is None else f"{value:.4g}"}</td>'
