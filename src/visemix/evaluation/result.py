"""What an evaluation found: in memory as attributes, on disk as the JSON that other programs rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from visemix.metrics.suite import Score, Status
from visemix.ops.border import fits, read_json
from visemix.ops.names import stays_below, writable
from visemix.ops.store import write_text
from visemix.types import VisemixError

EXPECTED = ("summary", "truth", "details", "clips")
WANTED = "give what `visemix evaluate --out` wrote"


@dataclass(frozen=True)
class Mean:
    """A metric's number over all clips. `value` is None unless `status` is `ok`: else it is `inf` (PSNR of equal
    pictures), `invalid` (a face is missing in more than 5 % of a clip's frames, a clip too short, untrained or wrong
    weights) or `unavailable` (no mediapipe, no sound, no weights)."""

    value: float | None
    status: Status
    unit: str
    variant: str  # which of the many conventions this is
    region: str


@dataclass(frozen=True)
class Details:
    """What tables and reports print beside a metric's number; `higher_is_better` is None where `ideal`, a number, is
    best."""

    reason: str = ""  # why there is no number
    truth_reason: str = ""
    higher_is_better: bool | None = None
    ideal: float | None = None
    per: Literal["frame", "clip", "set"] = "frame"  # what it is a number of
    interval: tuple[float, float] | None = None  # 95 % bootstrap over clips; None for one clip
    pooled: float | None = None  # every frame weighs alike
    frames: int = 0  # or clips, that were scored
    clips: int = 0
    caution: str | None = None  # what a reader must know beside the number
    weights: dict[str, Any] | None = None  # file, sha256, expected_sha256


@dataclass(frozen=True)
class ClipScores:
    """One pair of videos: every metric of the fake, and of the real one in the fake's place (`truth`).

    A score's `frames` are a number per frame, NaN where no face was found, infinite where pictures are equal; empty
    where only a whole clip has a number. Its `lags`: of `lse_d` the distance and of `avproxy_corr@0` the correlation
    for offsets from −15 to 15, else empty.
    """

    real: Path
    fake: Path
    frames: int
    fps: float
    size: tuple[int, int]  # width, height
    notes: list[str] = field(default_factory=list)
    metrics: dict[str, Score] = field(default_factory=dict)
    truth: dict[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """All that an evaluation found, by metric, and by clip under `clips`; `truth` are the real videos in the fakes'
    place: what a perfect fake would score. `versions` are of packages."""

    summary: dict[str, Mean]
    truth: dict[str, Mean]
    details: dict[str, Details]
    clips: dict[str, ClipScores]
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result as dicts and lists; a frame's NaN as None, infinity as "inf", which JSON both lacks."""
        found: dict[str, Any] = _plain(self)
        return found

    @classmethod
    def from_json(cls, found: Any, where: str = "this") -> Result:
        """The result of what `to_json` gave, in this version or an earlier one; what is unknown is passed over.

        Raises:
            VisemixError: it is no evaluation; `where` it is from is named.
        """
        if (
            not isinstance(found, dict)
            or not all(isinstance(found.get(key), dict) for key in EXPECTED)
            or not found["clips"]
        ):
            raise VisemixError(f"{where} is no evaluation ({', '.join(EXPECTED)}); {WANTED}")
        details = {name: found["details"].get(name, {}) for name in found["summary"] | found["truth"]}
        clips = {name: _without_gaps(clip) for name, clip in found["clips"].items()}
        result = fits(cls, {**found, "details": details, "clips": clips}, where, WANTED, "is no whole evaluation")
        for name in result.clips:
            if not stays_below(name):
                raise VisemixError(f"{where} is no whole evaluation ('{name}' is no name of a clip); {WANTED}")
        scored = [score for clip in result.clips.values() for score in (*clip.metrics.values(), *clip.truth.values())]
        rows: list[Mean | Score] = [*result.summary.values(), *result.truth.values(), *scored]
        for row in rows:
            if (row.status == "ok") != (row.value is not None) or not math.isfinite(row.value or 0):
                said = f"a score of status '{row.status}' is {row.value}"
                raise VisemixError(f"{where} is no whole evaluation ({said}); {WANTED}")
        return result

    def unmet(self, required: Sequence[str]) -> list[str]:
        """Which of the metrics that must have a number have none, with the reason.

        >>> row = Mean(None, "unavailable", "1", "", "full")
        >>> Result({"fid": row}, {}, {"fid": Details("no weights")}, {}).unmet(["fid", "psnr"])
        ['psnr was not asked for', 'fid is unavailable: no weights']
        """
        rows = self.summary
        absent = [f"{name} was not asked for" for name in required if name not in rows]
        without = [name for name in required if name in rows and rows[name].status not in ("ok", "inf")]
        return absent + [f"{name} is {rows[name].status}: {self.details[name].reason}" for name in without]


def write_result(path: Path, result: Result) -> None:
    """Write a JSON file that is whole or not there."""
    write_text(path, writable(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False)) + "\n")


def read_result(path: Path) -> Result:
    """The result in a file that `write_result` wrote, in this version or an earlier one.

    Raises:
        VisemixError: no such file, or not one of ours.
    """
    return Result.from_json(read_json(path, WANTED), str(path))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return str(value) if isinstance(value, Path) else value


def _without_gaps(clip: Any) -> Any:
    """A clip's scores with NaN for the frames that have no number."""
    if not isinstance(clip, Mapping):
        return clip
    filled = dict(clip)
    for side in ("metrics", "truth"):
        if isinstance(scores := clip.get(side), Mapping):
            filled[side] = {name: _filled(score) for name, score in scores.items()}
    return filled


def _filled(score: Any) -> Any:
    if not isinstance(score, Mapping) or not isinstance(frames := score.get("frames"), list):
        return score
    return {**score, "frames": [math.nan if value is None else value for value in frames]}
