from pathlib import Path

from html_reader import Reader

from visemix.evaluation.result import ClipScores
from visemix.metrics.suite import Score
from visemix.report.sections import lags


def score(status="ok", reason="", best=None):
    curve = () if best is None else tuple(float(abs(k - best)) for k in range(-15, 16))
    return Score(None, status, reason, lags=curve)


def scored(truth=None, **metrics):
    truth = truth or {name: score(best=0) for name in metrics}
    return ClipScores(Path("real.mp4"), Path("fake.mp4"), 50, 25.0, (64, 64), [], metrics, truth)


def test_syncnets_curve_and_the_detectors_stand_each_in_their_own_chart():
    there = {"ours": scored(**{"lse_d": score(best=3), "avproxy_corr@0": score(best=-2)})}
    found = Reader("".join(lags(there)))
    assert len(found.found["svg"]) == 2
    lines = [[float(v) for v in c["points"].replace(",", " ").split()] for c in found.found["polyline"]]
    lowest = [max(range(31), key=line[1::2].__getitem__) - 15 for line in lines]  # down is more in SVG
    assert lowest == [0, 3, 0, -2]
    words = " ".join(found.words)
    assert "distance of lips and sound (SyncNet)" in words and "it is no lip-sync score" in words


def test_without_syncnets_weights_there_is_the_detectors_curve_alone_and_reasons_are_said_once():
    bad = score("invalid", "50 frames with sound")
    blind = {"lse_d": score("unavailable", "no weights"), "avproxy_corr@0": bad}
    there = {"ours": scored(blind, **blind)}
    found = Reader("".join(lags(there)))
    assert "svg" not in found.found
    assert found.words == ["No offset curve of recorded, ours: 50 frames with sound."]


def test_scores_of_pictures_alone_have_no_offset_curve():
    assert "".join(lags({"ours": scored(psnr=Score(3.14))})) == ""
