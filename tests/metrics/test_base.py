import copy

import pytest
import torch

from visemix.metrics import (
    METRICS,
    FrameBatch,
    Suite,
    VideoMetric,
    VideoSequence,
    articulation,
    as_bytes,
    cpbd,
    landmark_distance,
    learned,
    lip_vertex_error,
    mean_squared_error,
    point_distance,
    psnr,
    silence,
    squared_error,
    sync,
)
from visemix.metrics.base import MetricRegistry
from visemix.nn import lpips
from visemix.ops import avlag
from visemix.ops.frechet import frechet
from visemix.ops.ssim import ssim
from visemix.types import VisemixError

BUILT = {name: METRICS.build({"name": name}) for name in METRICS.names()}
WEIGHED = [name for name, metric in BUILT.items() if metric.about()]
PLAIN = [name for name, metric in BUILT.items() if metric.per == "frame" and name not in WEIGHED]


def part(view, frames):
    return FrameBatch(view.frames[frames], view.landmarks[frames])


def blocky(pair):
    """Large enough for a block of CPBD's in the face region."""
    return [FrameBatch(v.frames.repeat(1, 1, 6, 6), v.landmarks * 6) for v in pair]


@pytest.mark.parametrize("name", PLAIN)
def test_a_metric_does_not_depend_on_the_batching(name, pair):
    fake, real = blocky(pair)
    whole, apart = METRICS.build({"name": name}), METRICS.build({"name": name})
    whole.update(fake, real)
    for t in range(6):
        apart.update(part(fake, slice(t, t + 1)), part(real, slice(t, t + 1)))
    assert whole.scored == 6
    torch.testing.assert_close(whole.compute(), apart.compute(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", [name for name in WEIGHED if BUILT[name].per != "clip"])
def test_what_a_network_sees_of_a_frame_does_not_depend_on_the_frames_beside_it(name, pair):
    metric = METRICS.build({"name": name, "weights": "random"})
    fake, real = blocky(pair)
    together = metric.measure(fake, real)
    apart = torch.cat([metric.measure(part(fake, slice(t, t + 1)), part(real, slice(t, t + 1))) for t in range(6)])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def rows_of(name):
    width = 4096 if name == "fid" else len(BUILT[name].total)
    return 1 + torch.rand(6, width, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("name", BUILT)
def test_what_is_remembered_is_the_same_in_one_piece_in_many_and_in_two_processes(name):
    rows = rows_of(name)
    whole, first, second = (METRICS.build({"name": name}) for _ in range(3))
    whole.add(rows)
    for row in rows[:2].split(1):
        first.add(row)
    second.add(torch.cat([rows[2:], torch.full_like(rows[:1], torch.nan)]))
    expected = whole.pooled()
    gathered = synced(first, second)
    first.merge_state(copy.deepcopy(second))
    torch.testing.assert_close(first.pooled(), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(gathered, expected, rtol=1e-9, atol=0)


def synced(first, second):
    """What the first of two processes computes: torchmetrics' own synchronisation, each gather answered for both."""
    ranks = [
        {name: torch.cat(v) if isinstance(v, list) else v for name, v in m.metric_state.items()}
        for m in (first, second)
    ]
    names = iter(list(ranks[0]))

    def gather(value, group=None):
        name = next(names)
        return [rank[name] for rank in ranks]

    one = copy.deepcopy(first)
    one.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    return one.pooled()


FORMULAS = {  # the pure function that a metric's number comes from; `_face` and `_norm` variants share it
    "av_offset": sync.find_offset,
    "avproxy": avlag.find_lag,
    "cpbd": cpbd,
    "csim": learned.cosine_similarity,
    "fid": frechet,
    "jitter": articulation.jitter,
    "lm3d_l2": point_distance,
    "lm3d_mse": mean_squared_error,
    "lmd": landmark_distance,
    "lpips": lpips.perceptual_distance,
    "lse": sync.SyncResult,
    "lve": lip_vertex_error,
    "opening_corr": articulation.correlation,
    "opening_spread": articulation.spread,
    "psnr": psnr,
    "settle": silence.settling_time,
    "silent_lips": silence.lip_instability,
    "psnr_pooled": squared_error,
    "ssim": ssim,
}


@pytest.mark.parametrize("name", BUILT)
def test_every_metrics_formula_has_an_example_that_can_be_checked_by_hand(name):
    formula = FORMULAS[max((key for key in FORMULAS if name.startswith(key)), key=len)]
    assert ">>>" in formula.__doc__


@pytest.mark.parametrize("name", BUILT)
def test_a_metric_says_what_it_is(name):
    metric = BUILT[name]
    assert metric.unit and len(metric.variant) > 20
    assert (metric.higher_is_better is None) == (metric.ideal is not None)
    assert metric.region in ("full", "face", "mouth")
    assert metric.region == "face" or not name.endswith("_face")
    assert metric.per in ("frame", "clip", "set")


@pytest.mark.parametrize("name", [name for name in PLAIN if "cpbd" not in name])
def test_a_metric_tells_better_from_worse(name, pair):
    fake, real = pair
    worse = FrameBatch(fake.frames // 2, fake.landmarks * torch.tensor([1.0, 1.1]))
    good, bad = METRICS.build({"name": name}), METRICS.build({"name": name})
    good.update(fake, real)
    bad.update(worse, real)
    assert (good.compute() > bad.compute()).item() is good.higher_is_better


@pytest.mark.parametrize("name", WEIGHED)
def test_a_metric_without_its_weights_says_which_file_and_where_from(name, monkeypatch, tmp_path):
    monkeypatch.setenv("VISEMIX_WEIGHTS", str(tmp_path))
    reason = METRICS.build({"name": name}).missing()
    assert str(tmp_path) in reason and "not found" in reason and "--weights" in reason
    expected = METRICS.build({"name": name}).about()["expected_sha256"]
    assert expected is None or expected in reason


def test_pictures_become_bytes_by_rounding():
    levels = torch.arange(256).reshape(1, 1, 256).expand(3, 1, 256)
    assert (as_bytes(levels / 255) == levels).all()
    assert as_bytes(torch.tensor([-1.0, 0.4981, 2.0]).reshape(3, 1, 1)).flatten().tolist() == [0, 127, 255]


def test_pictures_that_are_no_numbers_are_refused():
    frames = torch.zeros(3, 3, 2, 2)
    frames[1, 0, 1, 1] = torch.nan
    with pytest.raises(ValueError, match="1 pictures hold values that are no numbers"):
        as_bytes(frames)


def test_what_tables_show_of_metrics_is_what_these_say_of_themselves():
    assert METRICS.headlines() == [
        *("lmd", "lmd_norm", "lmd_norm@lag", "opening_corr@0", "opening_corr@lag", "ssim", "psnr", "psnr_face", "cpbd"),
        *("fid", "lse_c", "av_offset_abs", "jitter", "opening_spread"),
    ]
    assert METRICS.without_truth() == [
        *("fid", "lse_c", "lse_d", "av_offset", "avproxy_corr@0", "avproxy_offset", "avproxy_peak_z", "jitter")
    ]
    assert METRICS.foreign() == ["fid", "lse_c", "avproxy_corr@0"]
    assert METRICS.diagnostics() == ["avproxy_corr@0", "avproxy_offset", "avproxy_peak_z", "avproxy_corr@lag"]
    shown = {name: metric.shown for name, metric in METRICS.known().items()}
    assert [name for name, of in shown.items() if of.over_time] == ["psnr", "psnr_face"]
    assert [name for name, of in shown.items() if of.over_lags] == ["lse_d", "avproxy_corr@0"]
    assert {name for name, of in shown.items() if of.digits != 3} == {"fid", "av_offset", "av_offset_abs"}


@pytest.mark.parametrize("name", BUILT)
def test_a_metric_says_its_unit_its_convention_and_what_is_better(name):
    metric = BUILT[name]
    assert metric.unit and metric.variant and metric.region in ("full", "face", "mouth")
    assert (metric.higher_is_better is None) == (metric.ideal is not None)
    assert not metric.shown.foreign or metric.without_truth


def test_what_is_no_metric_is_refused_by_name():
    metrics = MetricRegistry("metric")
    metrics.register("number")(lambda: 3)
    with pytest.raises(VisemixError, match=r"metric 'number' is a int, .*: derive visemix\.metrics\.base\.VideoMetric"):
        metrics.build({"name": "number"})


class Answers(VideoMetric):
    """A metric of anyone's, whose `measure` answers with what it is given."""

    unit, variant, higher_is_better = "1", "none", True

    def __init__(self, rows=None):
        super().__init__()
        self.rows = rows

    def measure(self, fake, real):
        return self.rows


class AnswersForClips(Answers):
    per = "clip"


@pytest.mark.parametrize("kind", [Answers, AnswersForClips])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (3.0, "answers with a float; it must be a torch.Tensor"),
        (None, "answers with a NoneType; it must be a torch.Tensor"),
        (
            torch.zeros(6),
            r"answers `measure` with a tensor of shape \(6,\); it must be \(\S+, 1\): a row for each frame",
        ),
        (torch.zeros(()), r"answers `measure` with a tensor of shape \(\); it must be \(\S+, 1\)"),
        (torch.zeros(6, 2), r"answers `measure` with a tensor of shape \(6, 2\); it must be \(\S+, 1\)"),
    ],
)
def test_a_metric_that_answers_otherwise_than_it_must_is_named(kind, rows, said, pair, monkeypatch):
    with pytest.raises(VisemixError, match=f"the metric {kind.__name__} {said}"):
        kind(rows).update(*(pair if kind is Answers else (VideoSequence(), VideoSequence())))
    monkeypatch.setitem(METRICS._parts, "answers", lambda: kind(rows))
    suite = Suite(["answers"])
    with pytest.raises(VisemixError, match=f"the metric {kind.__name__} {said}"):
        suite.update(*pair)
        suite.finish_clip(VideoSequence(), VideoSequence())


def test_fewer_rows_than_frames_are_no_answer_and_a_row_a_frame_is(pair):
    frames = len(pair[0].frames)
    with pytest.raises(VisemixError, match=rf"of shape \({frames - 1}, 1\); it must be \({frames}, 1\)"):
        Answers(torch.zeros(frames - 1, 1)).update(*pair)
    metric = Answers(torch.full((frames, 1), 2.0))
    metric.update(*pair)
    assert metric.pooled() == 2


def test_what_metrics_say_of_themselves_is_asked_of_each_once(monkeypatch):
    metrics, built = MetricRegistry("metric"), []
    metrics.register("one")(lambda: built.append("one") or Answers())
    assert [metrics.known().keys() for _ in range(3)] == [{"one"}] * 3 and metrics.headlines() == []
    assert built == ["one"]
    monkeypatch.setitem(metrics._parts, "one", lambda: built.append("another") or Answers())
    metrics.known()
    assert built == ["one", "another"]
