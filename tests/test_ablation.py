from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from html_reader import Reader
from scipy.stats import ttest_rel
from skimage.io import imread

from visemix.data import VideoWriter
from visemix.evaluation.result import ClipScores, Details, Mean, Result
from visemix.report.ablation import sweep_table, verdict_table, verdicts
from visemix.report.ablation_page import sweep_page
from visemix.report.formats import markdown
from visemix.report.quoted import Quoted
from visemix.types import VisemixError

PAPER = Quoted(
    "A paper",
    "Table 9",
    "somewhere",
    ("lmd", "psnr"),
    {"w/o A": (2.0, 30.0), "w/o B": (None, 31.0), "full": (1.0, 32.0)},
)


def clip(real="real.mp4", fake="fake.mp4", frames=16):
    return ClipScores(Path(real), Path(fake), frames, 25.0, (32, 32))


def result(**values):
    summary = {
        name: Mean(value, "ok" if value is not None else "invalid", "px", "", "") for name, value in values.items()
    }
    details = {name: Details("no face", higher_is_better=name == "psnr") for name in values}
    return Result(summary, {}, details, {"a": clip()})


ROWS = {
    "full": {0: result(lmd=1.0, psnr=31.0), 1: result(lmd=1.2, psnr=31.4)},
    "w/o A": {0: result(lmd=2.0, psnr=31.0), 1: result(lmd=2.25, psnr=30.5)},
    "w/o B": {0: result(lmd=1.0, psnr=35.0), 1: result(lmd=1.0, psnr=35.2)},
}


def test_a_direction_agrees_disagrees_or_cannot_be_told_from_the_spread():
    found = {(v.row, v.metric): v for v in verdicts(ROWS, PAPER)}
    assert {key: v.judgement for key, v in found.items()} == {
        ("w/o A", "lmd"): "agrees",
        ("w/o A", "psnr"): "undecided",
        ("w/o B", "psnr"): "disagrees",
    }
    one = found["w/o A", "lmd"]
    assert (one.measured, one.published) == (pytest.approx(1.025), 1.0)  # 1.0 and 1.05 further
    low, high = ttest_rel([2.0, 2.25], [1.0, 1.2]).confidence_interval(0.95)
    assert one.doubt == pytest.approx((high - low) / 2) == pytest.approx(12.706205 * 0.025)
    text = verdict_table(list(found.values()))
    assert "prints 3 differences to the full model. Here 1 have its direction, 1 the other, 1 cannot be told" in text
    assert "Of its 2 rows 1 agree wherever they are decided, 1 disagree somewhere, and 0 decide nothing" in text
    assert "| w/o A | lmd | +1.02 | 0.318 | +1 | agrees |" in text
    assert "Not as in the paper:\n\n- w/o B, psnr: +3.9 here, -1 in the paper\n" in text


def test_a_row_of_other_clips_is_never_the_best_and_named():
    better = {0: replace(result(lmd=0.1, psnr=50.0), clips={"b": clip()})}
    text = markdown(sweep_table("ablation", ROWS | {"b only": better}))
    assert "| b only | 0.100 | 50.000 |" in text and "**35.100" in text
    assert "Scored on other clips than the first row, so never the best: b only." in text
    assert "other clips" not in markdown(sweep_table("ablation", ROWS))


def test_what_was_not_measured_here_is_counted_and_shown():
    found = verdicts({"full": ROWS["full"], "w/o A": {}}, PAPER)
    assert [(v.row, v.metric, v.judgement) for v in found] == [
        ("w/o A", "lmd", "unmeasured"),
        ("w/o A", "psnr", "unmeasured"),
        ("w/o B", "psnr", "unmeasured"),
    ]
    text = verdict_table(found)
    assert "and 3 were not measured" in text and "2 decide nothing" in text
    assert "| w/o A | lmd | – | – | +1 | unmeasured |" in text
    assert "Not as in the paper" not in text


def test_a_stand_in_is_judged_and_named_where_the_papers_metric_has_no_weights():
    paper = Quoted("A paper", "Table 9", "somewhere", ("lse_c",), {"w/o A": (5.0,), "full": (6.0,)})
    rows = {
        "full": {k: result(**{"lse_c": None, "avproxy_corr@0": v}) for k, v in enumerate((0.30, 0.31))},
        "w/o A": {k: result(**{"lse_c": None, "avproxy_corr@0": v}) for k, v in enumerate((0.10, 0.115))},
    }
    (verdict,) = verdicts(rows, paper)
    assert (verdict.metric, verdict.judgement) == ("avproxy_corr@0 for lse_c", "agrees")
    with_weights = {name: {k: result(lse_c=v) for k, v in enumerate((5.0, 5.1))} for name in rows}
    assert verdicts(with_weights, paper)[0].metric == "lse_c"


def test_the_page_says_the_same_as_the_table():
    text = sweep_page(sweep_table("ablation", ROWS, PAPER), ROWS, verdicts(ROWS, PAPER), ["wild, seed 0: <nothing>"])
    assert text.count("<table") == 2 and "Of its 2 rows 1 agree" in text and "wild, seed 0: &lt;nothing&gt;" in text


def test_the_page_draws_every_number_beside_the_papers_direction():
    found = Reader(sweep_page(sweep_table("ablation", ROWS, PAPER), ROWS, verdicts(ROWS, PAPER)))
    assert len(found.found["svg"]) == 2  # lmd and psnr
    assert len([c for c in found.found["circle"] if c["class"] == "dot c1"]) == 2 * 6
    assert [w for w in found.words if w[:1] in "▸◂" and w[1:]] == ["▸ agrees", "◂ undecided", "◂ disagrees"]


def test_the_page_shows_what_each_row_painted_of_one_clip(tmp_path):
    rows = {}
    for name, level in (("real", 0), ("full", 60), ("w/o A", 120)):
        with VideoWriter(tmp_path / f"{name.replace('/', '')}.mp4") as writer:
            for _ in range(12 if name == "w/o A" else 16):
                writer.write(torch.full((3, 32, 32), level, dtype=torch.uint8))
    for name in ("full", "w/o A", "w/o B"):
        fake = tmp_path / f"{name.replace('/', '')}.mp4"
        about = clip(tmp_path / "real.mp4", fake, 12 if name == "w/o A" else 16)  # the shortest ends the comparison
        rows[name] = {k: replace(one, clips={"a": about}) for k, one in ROWS[name].items()}
    found = Reader(sweep_page(sweep_table("ablation", rows), rows))
    assert [video["aria-label"] for video in found.found["video"]] == ["recorded", "full", "w/o A"]  # w/o B's is gone
    strips = {
        picture["alt"]: imread(BytesIO(b64decode(picture["src"].split(",")[1]))) for picture in found.found["img"]
    }
    assert {name: strip.shape for name, strip in strips.items()} == dict.fromkeys(strips, (32, 7 * 32, 3))
    assert [int(strip[16, 16].mean().round()) for strip in strips.values()] == pytest.approx([0, 60, 120], abs=3)
    apart = [strip[16, -16].astype(int).sum() for strip in strips.values()]  # black, dark red, pale yellow
    assert apart[0] == 4 and apart[0] < apart[1] <= apart[2] and apart[2] == 252 + 255 + 164


def test_differences_are_taken_seed_by_seed():
    paper = Quoted("A paper", "Table 9", "somewhere", ("lmd",), {"w/o A": (2.0,), "full": (1.0,)})
    full = {seed: result(lmd=value) for seed, value in enumerate((1.0, 3.0, 2.0))}
    further = {seed: result(lmd=value) for seed, value in ((2, 2.11), (0, 1.1), (1, 3.09), (7, 50.0))}
    (one,) = verdicts({"full": full, "w/o A": further}, paper)
    assert (one.measured, one.judgement) == (pytest.approx(0.1), "agrees") and one.doubt < 0.03
    alone = {0: further[0], 7: further[7]}  # one seed in common
    assert verdicts({"full": full, "w/o A": alone}, paper)[0].judgement == "undecided"
    assert verdicts({"full": full, "w/o A": {7: further[7]}}, paper)[0].judgement == "unmeasured"
    assert verdicts({"full": full, "w/o A": full}, paper)[0].judgement == "undecided"
    equal = {seed: result(lmd=row.summary["lmd"].value + 0.5) for seed, row in full.items()}
    assert verdicts({"full": full, "w/o A": equal}, paper)[0].judgement == "agrees"


def test_one_seed_decides_nothing():
    one = {row: {0: of[0]} for row, of in ROWS.items()}
    assert {v.judgement for v in verdicts(one, PAPER)} == {"undecided"}


def test_the_table_has_means_with_their_spread_and_the_papers_rows_below():
    text = markdown(sweep_table("ablation", ROWS, PAPER))
    assert "1.100 ± 0.141" in text and "2.125 ± 0.177" in text
    assert "quoted: A paper, Table 9" in text and "standard deviation over 2 seeds" in text
    assert text.index("w/o B") < text.index("quoted")


def test_a_short_table_has_the_headlines_and_the_papers_columns():
    rows = {"full": {0: result(**{"lmd": 1.0, "psnr": 30.0, "lpips": 0.1, "avproxy_corr@0": 0.2})}}
    keys = {short: [c.key for c in sweep_table("ablation", rows, short=short).columns] for short in (False, True)}
    assert keys == {False: ["lmd", "psnr", "lpips", "avproxy_corr@0"], True: ["lmd", "psnr", "avproxy_corr@0"]}


def test_a_row_without_a_number_says_why():
    rows = {"full": {0: result(lmd=None)}, "none": {}}
    text = markdown(sweep_table("ablation", rows))
    assert "n/a" in text and "no face" in text and "no point of this row ended" in text
    some = {"full": {0: result(lmd=1.0), 1: result(lmd=None), 2: result(lmd=1.2)}}
    text = markdown(sweep_table("ablation", some))
    assert "1.100¹ ± 0.141" in text and "¹ mean of 2 of 3 seeds; missing: invalid: no face" in text
    with pytest.raises(VisemixError, match="nothing to put"):
        sweep_table("ablation", {"full": {}})


def test_the_first_row_must_be_one_of_the_papers():
    with pytest.raises(VisemixError, match="'ours', is none of Table 9's rows"):
        verdicts({"ours": ROWS["full"]}, PAPER)
