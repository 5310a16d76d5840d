from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from html_reader import Reader
from scipy.stats import ttest_1samp, ttest_rel
from skimage.io import imread

from visemix.data import VideoWriter
from visemix.evaluation.result import ClipScores, Details, Mean, Result
from visemix.report.ablation import sweep_table, verdict_table, verdicts
from visemix.report.ablation_page import sweep_page
from visemix.report.formats import as_json, markdown
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
    assert "prints 3 differences to the full model, of which 3 could be tested and 0 were not measured" in text
    assert (
        "judged alone, at 95%: 1 have its direction, 1 the other, and 1 cannot be told; of its 2 rows 1 agree" in text
    )
    assert "1 agree wherever they are decided, 1 disagree somewhere, and 0 decide nothing" in text
    assert "| w/o A | lmd | +1.02 | 0.318 | +1 | agrees | agrees |" in text
    assert "Not as in the paper:\n\n- w/o B, psnr: +3.9 here, -1 in the paper\n" in text


def test_a_row_of_other_clips_is_never_the_best_and_named():
    better = {seed: replace(result(lmd=0.1, psnr=50.0), clips={"b": clip()}) for seed in (0, 1)}
    text = markdown(sweep_table("ablation", ROWS | {"b only": better}))
    assert "| b only | 0.100 | 50.000 |" in text and "**35.100" in text
    assert "Scored on other clips than the first row, so never the best: b only." in text
    assert "other clips" not in markdown(sweep_table("ablation", ROWS))
    one_of_two = {0: result(lmd=0.1, psnr=50.0), 1: better[1]}
    assert "never the best: some b." in markdown(sweep_table("ablation", ROWS | {"some b": one_of_two}))
    assert {v.judgement for v in verdicts(ROWS | {"w/o A": better}, PAPER) if v.row == "w/o A"} == {"unmeasured"}


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


def test_without_syncnets_weights_sync_is_not_measured_and_the_lag_detector_decides_and_ranks_nothing():
    paper = Quoted("A paper", "Table 9", "somewhere", ("lse_c",), {"w/o A": (5.0,), "full": (6.0,)})
    rows = {
        "full": {k: result(**{"lse_c": None, "avproxy_corr@0": v}) for k, v in enumerate((0.30, 0.31))},
        "w/o A": {k: result(**{"lse_c": None, "avproxy_corr@0": v}) for k, v in enumerate((0.10, 0.115))},
    }
    (verdict,) = verdicts(rows, paper)
    assert (verdict.metric, verdict.alone, verdict.judgement) == ("lse_c", "unmeasured", "unmeasured")
    table = sweep_table("ablation", rows, paper)
    (detector,) = (column for column in table.columns if column.key == "avproxy_corr@0")
    assert detector.better == "" and "**" not in markdown(replace(table, title="", groups=table.groups[:1]))
    with_weights = {name: {k: result(lse_c=v) for k, v in enumerate((5.0, 5.1))} for name in rows}
    assert verdicts(with_weights, paper)[0].judgement == "undecided"


def test_the_page_says_the_same_as_the_table():
    text = sweep_page(sweep_table("ablation", ROWS, PAPER), ROWS, verdicts(ROWS, PAPER), ["wild, seed 0: <nothing>"])
    assert (
        text.count("<table") == 2
        and text.count("of its 2 rows 1 agree") == 2
        and "wild, seed 0: &lt;nothing&gt;" in text
    )


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
    further = {seed: result(lmd=value) for seed, value in ((2, 2.11), (0, 1.1), (1, 3.09))}
    (one,) = verdicts({"full": full, "w/o A": further}, paper)
    assert (one.measured, one.judgement) == (pytest.approx(0.1), "agrees") and one.doubt < 0.03
    assert verdicts({"full": full, "w/o A": {7: further[0]}}, paper)[0].judgement == "unmeasured"
    assert verdicts({"full": full, "w/o A": full}, paper)[0].judgement == "undecided"
    equal = {seed: result(lmd=row.summary["lmd"].value + 0.5) for seed, row in full.items()}
    assert verdicts({"full": full, "w/o A": equal}, paper)[0].judgement == "agrees"


def test_what_a_row_of_ours_says_in_brackets_is_ours_alone():
    said = {"full (small, on a processor)": ROWS["full"]} | {row: ROWS[row] for row in ("w/o A", "w/o B")}
    assert verdicts(said, PAPER) == verdicts(ROWS, PAPER)


SOMETIMES = Quoted("A paper", "Table 9", "somewhere", ("lmd",), {"w/o A": (2.0,), "w/o B": (2.0,), "full": (1.0,)})


@pytest.mark.parametrize("side", ["full", "w/o A"])
def test_a_seed_without_a_number_may_be_the_bad_one_so_without_it_nothing_is_decided(side):
    rows = {
        "full": {seed: result(lmd=1.0 + 0.01 * seed) for seed in range(4)},
        "w/o A": {seed: result(lmd=2.0 + 0.011 * seed) for seed in range(4)},
    }
    assert verdicts(rows, SOMETIMES)[0].alone == "agrees"
    for lost in ({2: result(lmd=None)}, {}):  # no number, or a point that did not end
        known = {seed: of for seed, of in rows[side].items() if seed != 2}
        found = verdicts(rows | {side: known | lost}, SOMETIMES)[0]
        assert (found.alone, found.judgement, found.lacking) == ("undecided", "undecided", (2,))
        assert "| +1 | undecided, lacks seed 2 | undecided |" in verdict_table([found])


def test_a_mean_that_lacks_a_seed_is_never_the_best_and_says_which():
    rows = {
        "full": {0: result(lmd=1.0, psnr=30.0), 1: result(lmd=1.2, psnr=30.0)},
        "lucky": {0: result(lmd=0.5, psnr=33.0), 1: result(lmd=None, psnr=33.0)},
        "died": {1: result(lmd=0.1, psnr=40.0)},
        "other": {0: result(lmd=1.1, psnr=31.0), 1: result(lmd=1.2, psnr=31.0)},
    }
    text = markdown(sweep_table("ablation", rows))
    assert "| full | **1.100** ± 0.141 | 30.000 |" in text  # of two whole ones
    assert "| lucky | 0.500¹ | **33.000** |" in text
    assert "| died | 0.100² | 40.000² |" in text
    assert "¹ mean of 1 of 2 seeds: seed 1 is missing (invalid: no face)" in text
    assert "² mean of 1 of 2 seeds: seed 0 is missing (its point did not end)" in text
    assert "Never the best: died lacks seed 0." in text


def test_equal_pictures_are_no_missing_seed():
    equal = replace(result(psnr=None), summary={"psnr": Mean(None, "inf", "dB", "", "")})
    rows = {"full": {0: equal, 1: equal}, "w/o A": {0: equal, 1: result(psnr=30.0)}}
    text = markdown(sweep_table("ablation", rows))
    assert "| full | **inf** |" in text and "| w/o A | **inf** |" in text and "missing" not in text
    assert '"value": "inf"' in as_json(sweep_table("ablation", rows))
    assert verdicts(rows, PAPER)[1].judgement == "unmeasured"  # infinity less infinity


def test_directions_of_one_table_are_tested_together():
    """p-values of 0.0065, 0.0354 and 0.4310: Holm's makes them 0.0196, 0.0707 and 0.4310."""
    columns = ("lmd", "psnr", "cpbd")
    paper = Quoted("A paper", "Table 9", "somewhere", columns, {"w/o A": (2.0, 1.0, 1.0), "full": (1.0, 2.0, 2.0)})
    full = dict.fromkeys(range(4), result(lmd=0.0, psnr=0.0, cpbd=0.0))
    changes = {"lmd": (0.9, 1.0, 1.4, 0.7), "psnr": (0.5, 1.0, 1.5, 0.5), "cpbd": (-2.0, 0.1, -0.3, 0.3)}
    changed = {seed: result(**{name: of[seed] for name, of in changes.items()}) for seed in range(4)}
    found = verdicts({"full": full, "w/o A": changed}, paper)
    expected = [ttest_1samp(of, 0).pvalue for of in changes.values()]
    assert [v.p_value for v in found] == pytest.approx(expected)
    assert [v.corrected for v in found] == pytest.approx([3 * expected[0], 2 * expected[1], expected[2]])
    assert [v.alone for v in found] == ["agrees", "disagrees", "undecided"]
    assert [v.judgement for v in found] == ["agrees", "undecided", "undecided"]
    text = verdict_table(found)
    assert "Each judged alone, at 95%: 1 have its direction, 1 the other, and 1 cannot be told" in text
    assert "of its 1 rows 0 agree wherever they are decided, 1 disagree somewhere, and 0 decide nothing" in text
    assert "All 3 judged together, with Holm's correction: 1 have its direction, 0 the other, and 2 cannot" in text
    assert "- w/o A, psnr: +0.875 here, -1 in the paper (undecided with Holm's correction)\n" in text
    table = sweep_table("ablation", {"full": full, "w/o A": changed}, paper)
    page = Reader(sweep_page(table, {"full": full, "w/o A": changed}, found))
    assert any("judged together" in words for words in page.words)
    assert [w for w in page.words if w[:1] in "▸◂" and w[1:]] == ["▸ agrees", "◂ undecided", "◂ undecided"]


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
    assert keys == {False: ["lmd", "psnr", "lpips", "avproxy_corr@0"], True: ["lmd", "psnr"]}


def test_a_row_without_a_number_says_why():
    rows = {"full": {0: result(lmd=None)}, "none": {}}
    text = markdown(sweep_table("ablation", rows))
    assert "n/a" in text and "no face" in text and "no point of this row ended" in text
    some = {"full": {0: result(lmd=1.0), 1: result(lmd=None), 2: result(lmd=1.2)}}
    text = markdown(sweep_table("ablation", some))
    assert "1.100¹ ± 0.141" in text and "¹ mean of 2 of 3 seeds: seed 1 is missing (invalid: no face)" in text
    with pytest.raises(VisemixError, match="nothing to put"):
        sweep_table("ablation", {"full": {}})


def test_the_first_row_must_be_one_of_the_papers():
    with pytest.raises(VisemixError, match="'ours', is none of Table 9's rows"):
        verdicts({"ours": ROWS["full"]}, PAPER)
