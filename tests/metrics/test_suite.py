import pytest
import torch

from visemix.metrics import FrameBatch, Suite
from visemix.metrics.suite import Score, over_clips
from visemix.types import VisemixError


def test_a_clips_score_is_the_mean_of_its_frames_and_the_tables_the_mean_of_clips():
    suite = Suite(["psnr_pooled"])
    flat = torch.zeros(4, 3, 4, 4, dtype=torch.uint8)
    clips = {}
    for name, levels in {"long": [10, 10, 10, 10], "short": [1]}.items():
        for level in levels:
            suite.update(FrameBatch(flat[:1] + level), FrameBatch(flat[:1]))
        clips[name] = suite.finish_clip()["psnr_pooled"]
    long, short = 28.130804, 48.130804  # 10·log10(255² / 100), 10·log10(255²)
    assert clips["long"].value == pytest.approx(long, abs=1e-6)
    assert clips["long"].frames == pytest.approx([long] * 4, abs=1e-6)
    assert over_clips(clips).value == pytest.approx((long + short) / 2, abs=1e-6)
    assert suite.pooled("psnr_pooled") == pytest.approx(29.0890599, abs=1e-6)  # of (4 × 100 + 1) / 5


def test_equal_pictures_have_no_psnr_but_a_status():
    suite = Suite(["psnr", "ssim"])
    batch = FrameBatch(torch.zeros(2, 3, 12, 12, dtype=torch.uint8))
    suite.update(batch, batch)
    scores = suite.finish_clip()
    assert (scores["psnr"].value, scores["psnr"].status) == (None, "inf")
    assert scores["psnr"].frames == (float("inf"),) * 2
    assert scores["ssim"].value == 1.0
    assert suite.pooled("psnr") is None


@pytest.mark.parametrize(("missing", "status"), [(1, "ok"), (2, "invalid")])
def test_up_to_five_frames_in_a_hundred_may_lack_a_face(missing, status):
    points = torch.rand(20, 68, 2)
    real = FrameBatch(torch.zeros(20, 3, 1, 1, dtype=torch.uint8), points)
    seen = points.clone()
    seen[:missing] = torch.nan
    suite = Suite(["lmd"])
    suite.update(FrameBatch(real.frames, seen), real)
    score = suite.finish_clip()["lmd"]
    assert score.status == status
    assert (score.value is None) == (status != "ok")
    if status != "ok":
        assert "2 of 20 frames" in score.reason


def test_metrics_that_want_landmarks_sit_out_without_them(pair):
    fake, real = pair
    suite = Suite(["psnr", "psnr_face", "lmd"])
    suite.update(FrameBatch(fake.frames), FrameBatch(real.frames))
    scores = suite.finish_clip(without={"landmarks": "no tracker"})
    assert {name: score.status for name, score in scores.items()} == {
        "psnr": "ok",
        "psnr_face": "unavailable",
        "lmd": "unavailable",
    }
    assert scores["lmd"].reason == "no tracker"


def test_a_clip_that_cannot_be_scored_is_not_left_out_of_the_mean():
    whole = over_clips({"good": Score(1.0), "broken": Score(None, "invalid", "no face was found")})
    assert (whole.value, whole.status) == (None, "invalid")
    assert "broken" in whole.reason


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(VisemixError, match="no metric named 'ssim_gbr'; did you mean 'ssim_rgb'"):
        Suite(["psnr", "ssim_gbr"])
