"""A user study as one page: shuffled videos that do not tell who made them, and a key that stays with whoever asks."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visemix.data.media import probe
from visemix.evaluation.heldout import FOLDER, is_run
from visemix.evaluation.pairing import VIDEO_SUFFIXES, videos_in
from visemix.ops.store import REPLACE, write_text
from visemix.report.media import inline_video
from visemix.report.page import page, paragraph
from visemix.report.sources import named_sources
from visemix.study.protocols import PROTOCOLS, Protocol
from visemix.types import VisemixError
from visemix.values import did_you_mean

log = logging.getLogger(__name__)

PAGE, KEY = "study.html", "key.json"
HERE = Path(__file__).parent
LONGER = 0.1  # seconds by which methods may differ: a frame more or less comes of rounding


def make_study(
    sources: Sequence[str],
    out: str | Path,
    *,
    protocol: str = "mos",
    seed: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `study.html`, which goes to the raters, and `key.json`, which does not; answer the page's path.

    Each rater sees every video once, in an order of their own, and saves a CSV for `score_study`.

    Args:
        sources: a folder of videos for each method (or a run that was evaluated), perhaps as `name=folder`. All hold
            the same clips under the same names. Name the recordings `recorded`: that row then never competes.
        protocol: `mos` or `gsmoothface`.
        seed: of the names that videos get; by default one that nobody can guess, kept in the key.

    Raises:
        VisemixError: fewer than two methods, names without partners, lengths that differ, a video without sound,
            or `out` holds a study.
    """
    out = Path(out)
    if protocol not in PROTOCOLS:
        raise VisemixError(
            f"no protocol '{protocol}'{did_you_mean(protocol, PROTOCOLS)} (have: {', '.join(PROTOCOLS)})"
        )
    for path in (out / PAGE, out / KEY):
        if path.exists() and not overwrite:
            raise VisemixError(f"{path} exists and is kept: answers belong to it; choose another --out or {REPLACE}")
    methods = {name: videos_of(path) for name, path in named_sources(sources, reserved=())}
    check_alike(methods)
    salt = secrets.token_hex(16) if seed is None else str(seed)
    items = {
        digest(salt, name, clip): {"method": name, "clip": clip} for name, videos in methods.items() for clip in videos
    }
    study = digest(salt, protocol, *sorted(items))
    key = {"study": study, "protocol": protocol, "seed": salt, "items": items}
    films = {item: inline_video(methods[about["method"]][about["clip"]]) for item, about in items.items()}
    write_text(out / KEY, json.dumps(key, indent=1, ensure_ascii=False) + "\n")
    return write_text(out / PAGE, study_page(study, PROTOCOLS[protocol], films))


def study_page(study: str, protocol: Protocol, films: Mapping[str, str]) -> str:
    """The raters' page; `films` are the videos' addresses by their blind names."""
    about: dict[str, Any] = {
        "study": study,
        "scale": [{"value": value, "word": word} for value, word in protocol.scale.items()],
        "questions": [{"key": key, "words": words} for key, words in protocol.questions.items()],
        "items": [{"id": item, "film": films[item]} for item in sorted(films)],
    }
    # A closing tag inside a JSON string would end the script; an escaped slash is the same string.
    content = json.dumps(about, ensure_ascii=False).replace("</", "<\\/")
    ends = [f"{end} ({protocol.scale[end]})".replace("-", "−") for end in (min(protocol.scale), max(protocol.scale))]
    blocks = [
        paragraph(
            f"You will see {len(films)} short videos of people speaking, one after another. Please watch each to its "
            f"end with the sound on, and answer {len(protocol.questions)} questions about it, from {ends[0]} to "
            f"{ends[1]}. There are no right answers."
        ),
        f'<script type="application/json" id="about">{content}</script>',
        (HERE / "study.html").read_text(encoding="utf-8"),
    ]
    style, script = ((HERE / f"study.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return page("Talking faces: what do you think?", blocks, style=style, script=script)


def videos_of(path: Path) -> dict[str, Path]:
    """A folder's videos by their names without ending; of a run, what it made of its held-out part.

    Raises:
        VisemixError: no folder, no video in it, two of one name, or a run without scores.
    """
    if is_run(path):
        held = path / FOLDER / "fake"
        if not held.is_dir():
            raise VisemixError(
                f"run {path} was not evaluated yet, so there is nothing to show; `visemix evaluate {path}`"
            )
        path = held
    if not path.is_dir():
        raise VisemixError(f"no such folder: {path}; give each method's folder of videos, as in mine=videos/mine")
    found, passed = videos_in(path, clips=False)
    if passed:
        log.warning("passed over in %s: %s", path, ", ".join(passed))
    if not found:
        raise VisemixError(f"{path} holds no videos ({', '.join(VIDEO_SUFFIXES)})")
    return found


def check_alike(methods: Mapping[str, Mapping[str, Path]]) -> None:
    """Check that every method has every clip, as long, and with sound: raters compare like with like.

    Raises:
        VisemixError: they do not, or there are fewer than two methods.
    """
    if len(methods) < 2:
        raise VisemixError(
            "a study compares two methods or more; give a folder of videos for each, as in mine=DIR theirs=DIR"
        )
    first = next(iter(methods))
    for name, videos in methods.items():
        for one, other in ((first, name), (name, first)):
            alone = next((clip for clip in methods[one] if clip not in methods[other]), None)
            if alone is not None:
                raise VisemixError(
                    f"'{one}' has a video '{alone}' and '{other}' has none of that name; give both or neither"
                )
        for clip, path in videos.items():
            info, beside = probe(path), probe(methods[first][clip])
            if not info.width:
                raise VisemixError(f"{path} holds no picture; give a video file")
            if not info.sound:
                raise VisemixError(f"{path} has no sound, so nobody can say whether lips fit it; put the speech in")
            if abs(info.seconds - beside.seconds) > LONGER:
                raise VisemixError(
                    f"{path} lasts {info.seconds:.2f} s and {beside.path} {beside.seconds:.2f} s; "
                    "cut them to one length, or raters will know them by it"
                )


def digest(*words: str) -> str:
    """An opaque name of 12 hex digits that follows from the words."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
