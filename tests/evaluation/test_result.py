import json
import math
from pathlib import Path

import pytest

from visemix.evaluation.result import ClipScores, Details, Mean, Result, read_result, write_result
from visemix.metrics.suite import Score
from visemix.types import VisemixError

RESULT = Result(
    summary={"psnr": Mean(30.5, "ok", "dB", "RGB", "full"), "fid": Mean(None, "unavailable", "1", "pool3", "full")},
    truth={"psnr": Mean(None, "inf", "dB", "RGB", "full"), "fid": Mean(None, "unavailable", "1", "pool3", "full")},
    details={
        "psnr": Details(higher_is_better=True, interval=(30.0, 31.0), pooled=30.4, frames=3, clips=1),
        "fid": Details("no weights", higher_is_better=False, per="set", weights={"file": "pt.pth"}),
    },
    clips={
        "a": ClipScores(
            Path("real/a.mp4"),
            Path("fake/a.mp4"),
            3,
            25.0,
            (64, 48),
            ["fake: no face in 1 of 3 frames"],
            {
                "psnr": Score(30.5, "ok", "", (30.5, math.nan, math.inf)),
                "fid": Score(None, "unavailable", "no weights"),
            },
            {"psnr": Score(None, "inf", "equal", (math.inf,) * 3, (0.5, 1.0))},
        )
    },
    notes=["painted: the whole picture"],
    versions={"torch": "2.13.0", "mediapipe": None},
)
MEANS = """\
{
  "psnr": {
   "value": %s,
   "status": "%s",
   "unit": "dB",
   "variant": "RGB",
   "region": "full"
  },
  "fid": {
   "value": null,
   "status": "unavailable",
   "unit": "1",
   "variant": "pool3",
   "region": "full"
  }
 }"""
TEXT = """\
{
 "summary": SUMMARY,
 "truth": TRUTH,
 "details": {
  "psnr": {
   "reason": "",
   "truth_reason": "",
   "higher_is_better": true,
   "ideal": null,
   "per": "frame",
   "interval": [
    30.0,
    31.0
   ],
   "pooled": 30.4,
   "frames": 3,
   "clips": 1,
   "caution": null,
   "weights": null
  },
  "fid": {
   "reason": "no weights",
   "truth_reason": "",
   "higher_is_better": false,
   "ideal": null,
   "per": "set",
   "interval": null,
   "pooled": null,
   "frames": 0,
   "clips": 0,
   "caution": null,
   "weights": {
    "file": "pt.pth"
   }
  }
 },
 "clips": {
  "a": {
   "real": "real/a.mp4",
   "fake": "fake/a.mp4",
   "frames": 3,
   "fps": 25.0,
   "size": [
    64,
    48
   ],
   "notes": [
    "fake: no face in 1 of 3 frames"
   ],
   "metrics": {
    "psnr": {
     "value": 30.5,
     "status": "ok",
     "reason": "",
     "frames": [
      30.5,
      null,
      "inf"
     ],
     "lags": []
    },
    "fid": {
     "value": null,
     "status": "unavailable",
     "reason": "no weights",
     "frames": [],
     "lags": []
    }
   },
   "truth": {
    "psnr": {
     "value": null,
     "status": "inf",
     "reason": "equal",
     "frames": [
      "inf",
      "inf",
      "inf"
     ],
     "lags": [
      0.5,
      1.0
     ]
    }
   }
  }
 },
 "notes": [
  "painted: the whole picture"
 ],
 "versions": {
  "torch": "2.13.0",
  "mediapipe": null
 }
}
""".replace("SUMMARY", MEANS % ("30.5", "ok")).replace("TRUTH", MEANS % ("null", "inf"))


def test_the_file_is_what_other_programs_read_to_the_byte(tmp_path):
    write_result(tmp_path / "scores.json", RESULT)
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == TEXT


def test_what_was_written_is_read_back_whole(tmp_path):
    (tmp_path / "scores.json").write_text(TEXT, encoding="utf-8")
    found = read_result(tmp_path / "scores.json")
    assert found.to_json() == json.loads(TEXT)
    assert (found.summary, found.truth, found.details) == (RESULT.summary, RESULT.truth, RESULT.details)
    clip = found.clips["a"]
    assert (clip.real, clip.size, clip.truth) == (Path("real/a.mp4"), (64, 48), RESULT.clips["a"].truth)
    assert str(clip.metrics["psnr"].frames) == "(30.5, nan, inf)"


def test_a_file_of_before_details_lags_and_versions_is_read():
    found = json.loads(TEXT)
    del found["notes"], found["versions"], found["clips"]["a"]["truth"]["psnr"]["lags"]
    found["details"] = {"psnr": {"reason": "", "higher_is_better": True}}
    old = Result.from_json(found)
    assert old.details["psnr"] == Details(higher_is_better=True) and old.details["fid"] == Details()
    assert old.notes == [] and old.clips["a"].truth["psnr"].lags == ()


def test_what_a_later_version_adds_is_passed_over():
    found = json.loads(TEXT)
    found["colour"] = found["summary"]["psnr"]["colour"] = found["clips"]["a"]["colour"] = "blue"
    assert Result.from_json(found).to_json() == json.loads(TEXT)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is no evaluation"),
        ('{"summary": {}}', "is no evaluation"),
        ('{"summary": {}, "truth": {}, "details": {}, "clips": {}}', "is no evaluation"),
        (TEXT.replace('"unit"', '"unti"', 1), "is no whole evaluation .*'unit'"),
        (TEXT.replace('"real"', '"rael"'), "is no whole evaluation .*'real'"),
        (None, "cannot read"),
    ],
)
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, content, said):
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(VisemixError, match=said):
        read_result(path)


def test_a_metric_that_must_have_a_number_is_named_with_the_reason_why_it_has_none():
    assert RESULT.unmet(["psnr", "fid", "fdi"]) == ["fdi was not asked for", "fid is unavailable: no weights"]
