"""Scores of fake videos beside their real ones: every metric over every pair, and their means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.progress import Progress

from visemix.config import load_part
from visemix.evaluation.pair import TRACKING, Outcome, score_pair
from visemix.evaluation.pairing import Pair, find_pairs
from visemix.evaluation.result import ClipScores, Details, Mean, Result, write_result
from visemix.metrics import METRICS, Suite
from visemix.metrics.suite import Score, over_clips
from visemix.ops.backends import version_of
from visemix.ops.intervals import bootstrap
from visemix.ops.progress import Console
from visemix.ops.store import refuse_existing
from visemix.ops.workers import Workers
from visemix.plugins import load_plugin_file
from visemix.types import FPS, VisemixError

PACKAGES = ("visemix", "torch", "torchmetrics", "numpy", "scipy", "av", "mediapipe")
Scores = dict[str, dict[str, Score]]  # clip → metric → its score


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
    plugins: Sequence[str | Path] = (),
) -> Result:
    """Every metric (or those named) of `fake` beside `real`: two videos, or two folders paired by name.

    Either side may be a video file, a folder of them, a prepared clip or a folder of those. Both are read as `prepare`
    reads a file (`VideoReader`): upright, and by time, so that the pictures on screen at k / 25 seconds are compared
    whatever rates they were recorded at; never resized. The longer of a pair is cut to the shorter. Where rates are
    others than 25, or one side of the pictures was padded to be even, the clip's notes say so. Frames are streamed, so
    memory does not grow with length. Landmarks come from mediapipe, frame by frame, in both videos.

    What compares the mouth's course is also given by the sound's clock, as `lmd@lag` beside `lmd`: a recording whose
    sound `visemix prepare` found to be early or late is first moved by that, what was made from sound is not. `@0` is
    as recorded.

    Args:
        out: where the result is written as JSON.
        weights: the folder with the files of weights that the user brought, under their released names; by default
            what the environment variable VISEMIX_WEIGHTS names, else `weights`.
        options: metric → its options, as `{"fid": {"sha256": ""}}`.
        jobs: pairs that are measured at a time, each in a process of its own. The numbers do not depend on it.
        said: what a reader must know of how the fakes were made; it goes to `notes`.
        plugins: Python files that register further metrics.

    Returns:
        `summary` and `truth` are plain means over clips of the mean over their frames (FID: over all frames together).

    Raises:
        VisemixError: an unknown metric, no pairs, unequal sizes, an unreadable file, or `out` exists.
    """
    refuse_existing(out, overwrite)
    for plugin in plugins:
        load_plugin_file(plugin)
    configs = _configs(metrics, weights, options or {})
    suite = Suite(configs)
    pairs, notes = find_pairs(real, fake)
    found = {outcome.pair.name: outcome for outcome in _outcomes(pairs, configs, plugins, jobs, progress, suite)}
    outcomes = [found[pair.name] for pair in pairs]
    for outcome in outcomes:
        suite.merge(outcome.states)
    result = _result(suite, Suite(configs), outcomes, [*said, *notes])
    if out is not None:
        write_result(Path(out), result)
    return result


def options_of(words: Sequence[str], owner: str = "metric", example: str = "fid.sha256=…") -> dict[str, dict[str, Any]]:
    """Owner → its options, from words `owner.option=value` of the command line.

    Raises:
        VisemixError: a word of another form.

    >>> options_of(["fid.sha256=", "lpips.net=vgg"])
    {'fid': {'sha256': ''}, 'lpips': {'net': 'vgg'}}
    """
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        name, dot, option = key.rpartition(".")
        if not (equals and dot):
            raise VisemixError(f"'{word}' is no option of a {owner}; write {owner}.option=value, as in {example}")
        found.setdefault(name, {})[option] = value
    return found


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
        given = {str(key): value for key, value in load_part("metrics", name).items()} | dict(options.get(name, {}))
        full = METRICS.check(given)
        if weights is not None and full.get("weights", "") is None:
            full["weights"] = str(weights)
        configs.append({"name": name} | full)
    return configs


def _outcomes(
    pairs: list[Pair],
    configs: list[dict[str, Any]],
    plugins: Sequence[str | Path],
    jobs: int,
    progress: bool,
    suite: Suite,
) -> Iterator[Outcome]:
    """Each pair's outcome as it is done."""
    looks = 2 if "landmarks" in suite.needs else 0
    steps = {pair.name: min(pair.frames) + (sum(pair.frames) if looks else 0) for pair in pairs}
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        task = bar.add_task("evaluate", total=sum(steps.values()))
        if jobs <= 1 or len(pairs) == 1:
            for pair in pairs:
                bar.update(task, description=escape(pair.name))
                yield score_pair(pair, configs, partial(bar.advance, task))
            return
        begin = (torch.get_num_threads(), jobs, tuple(plugins))
        with Workers[Pair, Outcome](min(jobs, len(pairs)), _init_worker, begin) as workers:
            for pair, outcome in workers.map(partial(score_pair, metrics=configs), pairs):
                if outcome is None:
                    raise VisemixError(f"the process that measured {pair.name} died; there may be too little memory")
                bar.advance(task, steps[pair.name])
                yield outcome


def _init_worker(threads: int, jobs: int, plugins: tuple[str | Path, ...]) -> None:
    """A worker's share of the cores, and what it must know."""
    torch.set_num_threads(max(1, threads // jobs))
    for plugin in plugins:
        load_plugin_file(plugin)


def _result(suite: Suite, truth: Suite, outcomes: list[Outcome], notes: list[str]) -> Result:
    """Means and details of what was measured of each pair; `suite` remembers the fakes' frames, `truth` none."""
    made = {outcome.pair.name: outcome.made for outcome in outcomes}
    same = {outcome.pair.name: outcome.truth for outcome in outcomes}
    sizes = {(outcome.pair.width, outcome.pair.height) for outcome in outcomes}
    return Result(
        summary={name: _mean(suite, name, made, sizes) for name in suite.metrics},
        truth={name: _mean(truth, name, same, sizes) for name in suite.metrics},
        details={name: _details(suite, name, made, same) for name in suite.metrics},
        clips={outcome.pair.name: _clip(outcome) for outcome in outcomes},
        notes=notes,
        versions={package: version_of(package) for package in PACKAGES},
    )


def _of(name: str, scores: Scores) -> dict[str, Score]:
    """One metric's scores by clip."""
    return {clip: found[name] for clip, found in scores.items()}


def _mean(suite: Suite, name: str, scores: Scores, sizes: set[tuple[int, int]]) -> Mean:
    metric, score = suite.metrics[name], suite.over_clips(name, _of(name, scores))
    variant = metric.variant
    if "landmarks" in metric.needs:
        variant += f"; {TRACKING['name']} {version_of(TRACKING['name'])}, {TRACKING['mode']}"
    if metric.unit == "px":
        variant += f"; pictures of {', '.join(f'{w}×{h}' for w, h in sorted(sizes))}"
    return Mean(score.value, score.status, metric.unit, variant, metric.region)


def _details(suite: Suite, name: str, made: Scores, truth: Scores) -> Details:
    metric, of_clips = suite.metrics[name], _of(name, made)
    score = suite.over_clips(name, of_clips)
    values = [found.value for found in of_clips.values() if found.value is not None]
    return Details(
        reason=score.reason,
        truth_reason=over_clips(_of(name, truth)).reason,
        higher_is_better=metric.higher_is_better,
        ideal=metric.ideal,
        per=metric.per,
        interval=bootstrap(values) if score.value is not None and metric.per != "set" else None,
        pooled=suite.pooled(name),
        frames=int(metric.scored),
        clips=sum(found.status in ("ok", "inf") for found in of_clips.values()),
        caution=metric.caution() if score.value is not None else None,
        weights=metric.about() or None,
    )


def _clip(outcome: Outcome) -> ClipScores:
    pair = outcome.pair
    size = (pair.width, pair.height)
    return ClipScores(
        pair.real, pair.fake, outcome.frames, float(FPS), size, outcome.notes, outcome.made, outcome.truth
    )
