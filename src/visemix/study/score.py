"""Raters' answers and the key of their study, as the table that a paper prints."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import with_config
from typing_extensions import TypedDict

from visemix.ops.border import OPEN, fits, read_json
from visemix.ops.intervals import LEVEL, student
from visemix.report.results import RECORDED, plural
from visemix.report.tables import Cell, Column, Group, Row, Table
from visemix.study.protocols import PROTOCOLS, Protocol
from visemix.terminal import printable
from visemix.types import VisemixError


@dataclass(frozen=True)
class Rating:
    """What one rater said of one video; their name without spaces around it."""

    rater: str
    item: str
    scores: dict[str, int]


class Item(TypedDict):
    """Whose video it is, and of which clip."""

    method: str
    clip: str


@with_config(OPEN)
class Key(TypedDict):
    """What `key.json` must be."""

    study: str
    protocol: str
    items: dict[str, Item]


def score_study(answers: Sequence[Path], key: Path) -> Table:
    """Each method's mean over raters, with Student's 95 % interval, and under it the paper's own study.

    A rater's answers about one method hang together, so the interval is over the raters' means, not over all answers.

    Raises:
        VisemixError: a file that is no answers, answers of another study, a score outside the scale, or a rater twice.
    """
    about = read_key(key)
    protocol = PROTOCOLS[about["protocol"]]
    ratings: dict[tuple[str, str], tuple[Rating, Path]] = {}
    spelt: dict[str, str] = {}  # a rater's name as they wrote it first
    for path in answers:
        for each in read_answers(path, about, protocol):
            known = unicodedata.normalize("NFKC", each.rater).casefold()
            rating = replace(each, rater=spelt.setdefault(known, each.rater))
            earlier = ratings.setdefault((rating.rater, rating.item), (rating, path))
            if earlier[0] is not rating:
                raise VisemixError(
                    f"{path}: rater '{rating.rater}' rates video {rating.item} again (first in {earlier[1]}); "
                    "give one file a rater, and raters names of their own"
                )
    return tabulate([rating for rating, _ in ratings.values()], about, protocol)


def tabulate(ratings: Sequence[Rating], about: dict[str, Any], protocol: Protocol) -> Table:
    """The means of some ratings under the key that says whose videos they are of."""
    items = about["items"]
    raters = sorted({rating.rater for rating in ratings})
    rows = []
    for method in dict.fromkeys(item["method"] for item in items.values()):
        of_it = [rating for rating in ratings if items[rating.item]["method"] == method]
        cells = {question: _mean(of_it, question) for question in protocol.questions}
        rows.append(Row(method, cells, competes=method != RECORDED))
    clips = len({item["clip"] for item in items.values()})
    low, high = (f"{end}".replace("-", "−") for end in (min(protocol.scale), max(protocol.scale)))
    title = f"this study, {plural(len(raters), 'rater')}, {plural(clips, 'clip')}, {low} to {high}"
    columns = [Column(key, "", "higher", 2, key.replace("_", " ")) for key in protocol.questions]
    quoted = protocol.quoted.group(list(protocol.questions))
    groups = [Group(title, rows), *([quoted] if quoted else [])]
    return Table("", columns, groups, [*_notes(ratings, raters, len(items))], plus_minus=True)


def _notes(ratings: Sequence[Rating], raters: Sequence[str], items: int) -> Iterator[str]:
    yield f"± {LEVEL:.0%} interval of the mean over raters (Student), each rater's answers averaged first."
    counts = {rater: sum(rating.rater == rater for rating in ratings) for rater in raters}
    unfinished = [f"{rater} ({count} of {items})" for rater, count in counts.items() if count < items]
    if unfinished:
        yield f"Unfinished answers are in it: {', '.join(unfinished)}."
    if len(raters) < 2:
        yield "One rater alone has no interval."


def read_key(path: Path) -> dict[str, Any]:
    """The key of a study: its `protocol`, its name as `study`, and `items` with method and clip of each video.

    Raises:
        VisemixError: a file that cannot be read, or is no key.
    """
    said = "it is the key.json that `visemix study` wrote beside the page", "is no key of a study"
    key = dict(fits(Key, read_json(path, *said), path, *said))  # type: ignore[arg-type]
    if key["protocol"] not in PROTOCOLS:
        raise VisemixError(f"{path} is no key of a study ('{key['protocol']}' is no protocol of one)")
    return key


def read_answers(path: Path, key: dict[str, Any], protocol: Protocol) -> list[Rating]:
    """The rows of one file, every one of them checked.

    Raises:
        VisemixError: a file that cannot be read, or an answer that the study does not have.
    """
    header = ["study", "rater", "item", "position", *protocol.questions]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise VisemixError(f"cannot read {path}: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise VisemixError(f"{path} is no CSV that the study's page saved ({error})") from error
    if not rows or rows[0] != header:
        raise VisemixError(f"{path} is no answers file of this protocol: its first line must be {','.join(header)}")
    ratings = [_rating(path, line, row, header, key, protocol) for line, row in enumerate(rows[1:], 2) if row]
    if not ratings:
        raise VisemixError(f"{path} holds no answers; leave it out, or ask the rater to save again")
    return ratings


def _rating(
    path: Path, line: int, row: list[str], header: list[str], key: dict[str, Any], protocol: Protocol
) -> Rating:
    where = f"{path}, line {line}"
    if len(row) != len(header):
        raise VisemixError(
            f"{where} has {len(row)} fields, not {len(header)}; it is cut off or edited: ask the rater again"
        )
    study, rater, item, _, *given = row
    if study != key["study"]:
        raise VisemixError(f"{where} answers another study ({study}); this key is for {key['study']}")
    if item not in key["items"]:
        raise VisemixError(
            f"{where} rates a video '{item}' that this study does not have; it was edited: ask the rater again"
        )
    if not rater.strip():
        raise VisemixError(f"{where} does not say who rates; put the rater's name or code in")
    scale = {str(value): value for value in protocol.scale}
    wrong = next((score for score in given if score not in scale), None)
    if wrong is not None:
        raise VisemixError(f"{where}: '{wrong}' is no score; the scale is {', '.join(scale)}")
    return Rating(
        " ".join(printable(rater).split()),
        item,
        dict(zip(protocol.questions, (scale[score] for score in given), strict=True)),
    )


def _mean(ratings: Sequence[Rating], question: str) -> Cell:
    by_rater: dict[str, list[int]] = {}
    for rating in ratings:
        by_rater.setdefault(rating.rater, []).append(rating.scores[question])
    if not by_rater:
        return Cell(None, reason="nobody rated a video of this method")
    means = [sum(scores) / len(scores) for scores in by_rater.values()]
    return Cell(sum(means) / len(means), student(means))
