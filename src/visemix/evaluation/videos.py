"""Scores of fake videos beside their real ones, as a dict, a JSON file and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from visemix.config import part
from visemix.evaluation.pair import TRACKING, Outcome, score_pair
from visemix.evaluation.pairing import Pair, find_pairs
from visemix.metrics import METRICS, Suite
from visemix.metrics.suite import Score, over_clips
from visemix.ops.backends import version_of
from visemix.ops.intervals import bootstrap
from visemix.ops.store import write_text
from visemix.ops.workers import Workers
from visemix.types import VisemixError

SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
PACKAGES = ("visemix", "torch", "torchmetrics", "numpy", "scipy", "av", "mediapipe")


def evaluate(
    real: str | Path,
    fake: str | Path,
    metrics: Sequence[str] | None = None,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
    weights: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    jobs: int = 1,
    said: Sequence[str] = (),
) -> dict[str, Any]:
    """Every metric (or those named) of `fake` beside `real`: two videos, or two folders paired by name.

    Either side may be a video file, a folder of them, a prepared clip or a folder of those. Pictures are compared as
    recorded, decoded alike, never resized; the longer of a pair is cut to the shorter, and `notes` says so. Frames are
    streamed, so memory does not grow with length. Landmarks come from mediapipe, frame by frame, in both videos.

    What compares the mouth's course is also given by the sound's clock, as `lmd@lag` beside `lmd`: a recording whose
    sound `visemix prepare` found to be early or late is first moved by that, what was made from sound is not. `@0` is
    as recorded.

    Args:
        weights: the folder with the files of weights that the user brought, under their released names; by default
            what the environment variable VISEMIX_WEIGHTS names, else `weights`.
        options: metric → its options, as `{"fid": {"sha256": ""}}`.
        jobs: pairs that are measured at a time, each in a process of its own. The numbers do not depend on it.
        said: what a reader must know of how the fakes were made; it goes to `notes`.

    Returns (and writes to `out` as JSON, where given):
        `summary.<metric>` = value, status, unit, variant, region. Plain mean over clips of the mean over their frames
            (FID: over all frames together). `value` is None unless `status` is `ok`; else it is `inf` (PSNR of equal
            pictures), `invalid` (a face is missing in more than 5 % of a clip's frames, a clip too short, untrained
            or wrong weights) or `unavailable` (no mediapipe, no sound, no weights).
        `truth.<metric>` = the same of the real videos in the fakes' place: what a perfect fake would score.
        `details.<metric>` = reason, truth_reason, higher_is_better (None where `ideal`, a number, is best), ideal,
            `interval` (95 % bootstrap over clips; None for one clip), `pooled` (every frame weighs alike), frames (or
            clips, that were scored), clips, `per` ("frame", "clip" or "set": what it is a number of), `caution` (what
            a reader must know beside the number) or None, and `weights` (file, sha256, expected_sha256) or None.
        `clips.<name>` = real, fake, frames, fps, size, notes, and `metrics.<metric>` = value, status, reason, frames:
            a number per frame, null where no face was found, the string "inf" where pictures are equal; empty where
            only a whole clip has a number; `lags`: of `lse_d` the distance and of `avproxy_corr@0` the correlation for
            offsets from −15 to 15, else empty. `truth.<metric>` = the same of the real video.
        `notes`, `versions` (of packages).

    Raises:
        VisemixError: an unknown metric, no pairs, unequal sizes or rates, a damaged file, or `out` exists.
    """
    if out is not None and Path(out).exists() and not overwrite:
        raise VisemixError(f"{out} exists and is kept; choose another name or pass --overwrite")
    configs = _configs(metrics, weights, options or {})
    suite, truth = Suite(configs), Suite(configs)
    pairs, notes = find_pairs(real, fake)
    outcomes = {outcome.pair.name: outcome for outcome in _outcomes(pairs, configs, jobs, progress, suite)}
    in_order = [outcomes[pair.name] for pair in pairs]
    for outcome in in_order:
        suite.merge(outcome.states)
    made = {outcome.pair.name: outcome.made for outcome in in_order}
    same = {outcome.pair.name: outcome.truth for outcome in in_order}
    sizes = {(pair.width, pair.height) for pair in pairs}
    report = {
        "summary": {name: _summary(suite, name, made, sizes) for name in suite.metrics},
        "truth": {name: _summary(truth, name, same, sizes) for name in suite.metrics},
        "details": {name: _details(suite, name, made, same) for name in suite.metrics},
        "clips": {outcome.pair.name: _clip(outcome) for outcome in in_order},
        "notes": [*said, *notes],
        "versions": {package: version_of(package) for package in PACKAGES},
    }
    if out is not None:
        write_scores(Path(out), report)
    return report


def options_of(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options as the command line gives them.

    >>> options_of(["fid.sha256=", "lpips.net=vgg"])
    {'fid': {'sha256': ''}, 'lpips': {'net': 'vgg'}}
    """
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        metric, dot, option = key.rpartition(".")
        if not (equals and dot):
            raise VisemixError(f"'{word}' is no option of a metric; write metric.option=value, as in fid.sha256=…")
        found.setdefault(metric, {})[option] = value
    return found


def unmet(report: Mapping[str, Any], required: Sequence[str]) -> list[str]:
    """Which of the metrics that must have a number have none, with the reason.

    >>> row = {"value": None, "status": "unavailable"}
    >>> unmet({"summary": {"fid": row}, "details": {"fid": {"reason": "no weights"}}}, ["fid"])
    ['fid is unavailable: no weights']
    """
    rows = report["summary"]
    absent = [f"{name} was not asked for" for name in required if name not in rows]
    without = [name for name in required if name in rows and rows[name]["status"] not in ("ok", "inf")]
    return absent + [f"{name} is {rows[name]['status']}: {report['details'][name]['reason']}" for name in without]


def table(report: dict[str, Any]) -> Table:
    """The summary for the console; below it why numbers are missing, and what was left out."""
    names = list(report["clips"])
    view = Table(title=names[0] if len(names) == 1 else f"{len(names)} clips", title_justify="left")
    intervals = ["95 %"] if len(names) > 1 else []
    for column in ("metric", "value", *intervals, "real", "unit", "better", "region"):
        numbers = column in ("value", "95 %", "real")
        view.add_column(column, justify="right" if numbers else "left", no_wrap=column == "metric")
    reasons: list[str] = []
    for name, row in report["summary"].items():
        details, real = report["details"][name], report["truth"][name]
        nearer = f"nearer {details['ideal'] or 0:g}"
        better = {True: "higher", False: "lower", None: nearer}[details["higher_is_better"]]
        caution = f"{name} {details['caution']}" if details["caution"] else ""
        value = _cell(row, details["reason"] or caution, reasons)
        over = ["{:.4g} – {:.4g}".format(*details["interval"]) if details["interval"] else ""] if intervals else []
        view.add_row(
            name, value, *over, _cell(real, details["truth_reason"], reasons), row["unit"], better, row["region"]
        )
    footnotes = [f"{str(k).translate(SUPERSCRIPT)} {reason}" for k, reason in enumerate(reasons, 1)]
    notes = [f"{name}: {note}" for name, clip in report["clips"].items() for note in clip["notes"]]
    view.caption = "\n".join([*footnotes, *report["notes"], *notes]) or None
    view.caption_justify = "left"
    return view


def _cell(row: Mapping[str, Any], reason: str, reasons: list[str]) -> str:
    """The number, or why there is none as a footnote; `reasons` has those before, and takes in this one."""
    if row["status"] == "inf":
        return "inf"
    words = f"{round(row['value'], 4) + 0.0:.4f}" if row["status"] == "ok" else "n/a"  # and never −0.0000
    if not reason:
        return words
    said = reason if row["status"] == "ok" else f"{row['status']}: {reason}"
    if said not in reasons:
        reasons.append(said)
    return words + str(reasons.index(said) + 1).translate(SUPERSCRIPT)


def _configs(
    metrics: Sequence[str] | None, weights: str | Path | None, options: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each metric's file, under the options given; the folder of weights goes to those that have weights."""
    names = METRICS.names() if metrics is None else list(dict.fromkeys(metrics))
    for name in options:
        if name not in names:
            raise VisemixError(f"options are given for '{name}', which is not measured (measured: {', '.join(names)})")
    configs = []
    for name in names:
        given = {str(key): value for key, value in part("metrics", name).items()} | dict(options.get(name, {}))
        full = METRICS.check(given)
        if weights is not None and full.get("weights", "") is None:
            full["weights"] = str(weights)
        configs.append({"name": name} | full)
    return configs


def _outcomes(
    pairs: list[Pair], configs: list[dict[str, Any]], jobs: int, progress: bool, suite: Suite
) -> Iterator[Outcome]:
    """Each pair's outcome as it is done."""
    looks = 2 if "landmarks" in suite.needs else 0
    steps = {pair.name: min(pair.frames) + (sum(pair.frames) if looks else 0) for pair in pairs}
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        task = bar.add_task("evaluate", total=sum(steps.values()))
        if jobs <= 1 or len(pairs) == 1:
            for pair in pairs:
                bar.update(task, description=pair.name)
                yield score_pair(pair, configs, partial(bar.advance, task))
            return
        with Workers[Pair, Outcome](min(jobs, len(pairs)), _begin, (torch.get_num_threads(), jobs)) as workers:
            for pair, outcome in workers.map(partial(score_pair, metrics=configs), pairs):
                if outcome is None:
                    raise VisemixError(f"the process that measured {pair.name} died; there may be too little memory")
                bar.advance(task, steps[pair.name])
                yield outcome


def _begin(threads: int, jobs: int) -> None:
    """A worker's share of the cores."""
    torch.set_num_threads(max(1, threads // jobs))


def _summary(
    suite: Suite, name: str, scores: dict[str, dict[str, Score]], sizes: set[tuple[int, int]]
) -> dict[str, Any]:
    metric, score = suite.metrics[name], suite.over_clips(name, {clip: of[name] for clip, of in scores.items()})
    variant = metric.variant
    if "landmarks" in metric.needs:
        variant += f"; {TRACKING['name']} {version_of(TRACKING['name'])}, {TRACKING['mode']}"
    if metric.unit == "px":
        variant += f"; pictures of {', '.join(f'{w}×{h}' for w, h in sorted(sizes))}"
    return {
        "value": score.value,
        "status": score.status,
        "unit": metric.unit,
        "variant": variant,
        "region": metric.region,
    }


def _details(
    suite: Suite, name: str, made: dict[str, dict[str, Score]], truth: dict[str, dict[str, Score]]
) -> dict[str, Any]:
    metric = suite.metrics[name]
    of_clips = {clip: of[name] for clip, of in made.items()}
    score = suite.over_clips(name, of_clips)
    values = [found.value for found in of_clips.values() if found.value is not None]
    over = bootstrap(values) if score.value is not None and metric.per != "set" else None
    return {
        "reason": score.reason,
        "truth_reason": over_clips({clip: of[name] for clip, of in truth.items()}).reason,
        "higher_is_better": metric.higher_is_better,
        "ideal": metric.ideal,
        "per": metric.per,
        "interval": list(over) if over else None,
        "pooled": suite.pooled(name),
        "frames": int(metric.scored),
        "clips": sum(found.status in ("ok", "inf") for found in of_clips.values()),
        "caution": metric.caution() if score.value is not None else None,
        "weights": metric.about() or None,
    }


def _clip(outcome: Outcome) -> dict[str, Any]:
    pair = outcome.pair
    return {
        "real": str(pair.real),
        "fake": str(pair.fake),
        "frames": outcome.frames,
        "fps": pair.fps,
        "size": [pair.width, pair.height],
        "notes": outcome.notes,
        "metrics": {name: _plain_score(score) for name, score in outcome.made.items()},
        "truth": {name: _plain_score(score) for name, score in outcome.truth.items()},
    }


def _plain_score(score: Score) -> dict[str, Any]:
    frames = [_plain(value) for value in score.frames]
    return {
        "value": score.value,
        "status": score.status,
        "reason": score.reason,
        "frames": frames,
        "lags": list(score.lags),
    }


def _plain(value: float) -> float | str | None:
    """JSON has no infinity and no NaN."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else value


def write_scores(path: Path, report: dict[str, Any]) -> None:
    """The report as a JSON file that is whole or not there."""
    write_text(path, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
