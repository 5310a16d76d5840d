import math

from html_reader import Reader

from visemix.report.sections import lags


def score(status="ok", reason="", best=None):
    return {
        "status": status,
        "reason": reason,
        "lags": [] if best is None else [float(abs(k - best)) for k in range(-15, 16)],
    }


def evaluation(**metrics):
    return {"clips": {"anna": {"metrics": metrics, "truth": {name: score(best=0) for name in metrics}}}}


def test_syncnets_curve_and_the_detectors_stand_each_in_their_own_chart():
    there = {"ours": evaluation(**{"lse_d": score(best=3), "avproxy_corr@0": score(best=-2)})}
    found = Reader("".join(lags("anna", there)))
    assert len(found.found["svg"]) == 2
    lines = [[float(v) for v in c["points"].replace(",", " ").split()] for c in found.found["polyline"]]
    lowest = [max(range(31), key=line[1::2].__getitem__) - 15 for line in lines]  # down is more in SVG
    assert lowest == [0, 3, 0, -2]
    words = " ".join(found.words)
    assert "distance of lips and sound (SyncNet)" in words and "it is no lip-sync score" in words


def test_without_syncnets_weights_there_is_the_detectors_curve_alone_and_reasons_are_said_once():
    bad = score("invalid", "50 frames with sound")
    there = {"ours": evaluation(**{"lse_d": score("unavailable", "no weights"), "avproxy_corr@0": bad})}
    there["ours"]["clips"]["anna"]["truth"] = {"lse_d": score("unavailable", "no weights"), "avproxy_corr@0": bad}
    found = Reader("".join(lags("anna", there)))
    assert "svg" not in found.found
    assert found.words == ["No offset curve of recorded, ours: 50 frames with sound."]


def test_scores_of_pictures_alone_have_no_offset_curve():
    assert "".join(lags("anna", {"ours": evaluation(psnr={"status": "ok", "value": math.pi})})) == ""
