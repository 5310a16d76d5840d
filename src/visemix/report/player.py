"""Videos side by side under one set of controls, which keep them in step."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from visemix.report.charts import COLOURS
from visemix.report.media import inline_video
from visemix.report.page import row

SCRIPT = Path(__file__).with_name("player.js").read_text(encoding="utf-8")
SPEEDS = (0.25, 0.5, 1)


def player(videos: Mapping[str, Path], *, sound_of: int = 0) -> str:
    """Videos by name, with one play button, a slider that moves them all, single frames, slow motion, and a choice of
    whose sound is heard. The first leads; where lengths differ, the shortest ends it. The page needs `SCRIPT`."""
    films = row(_film(name, path, k) for k, (name, path) in enumerate(videos.items()))
    speeds = "".join(f'<option value="{s}"{" selected" if s == 1 else ""}>{s:g}×</option>' for s in SPEEDS)
    names = "".join(
        f'<option value="{k}"{" selected" if k == sound_of else ""}>{escape(name)}</option>'
        for k, name in enumerate(videos)
    )
    controls = (
        '<button type="button" class="play main" disabled>Play</button>'
        '<button type="button" class="back" aria-label="One frame back" disabled>‹</button>'
        '<button type="button" class="on" aria-label="One frame on" disabled>›</button>'
        '<input class="time" type="range" min="0" max="1" step="0.04" value="0" aria-label="Time, seconds" disabled>'
        '<output class="shown"></output>'
        f'<label>Speed <select class="speed" disabled>{speeds}</select></label>'
        f'<label>Sound <select class="heard" disabled>{names}<option value="-1">none</option></select></label>'
    )
    return f'<div class="player">{films}<div class="controls">{controls}</div></div>'


def _film(name: str, path: Path, number: int) -> str:
    """HTML of one video, named in the colour that its curves have."""
    words, key = escape(name), f'<i class="key c{number % COLOURS}"></i>'
    shown = f'<video aria-label="{words}" muted playsinline preload="auto" src="{inline_video(path)}"></video>'
    return f"<figure>{shown}<figcaption>{key}{words}</figcaption></figure>"
