import pytest

from visemix.report.ablation import sweep_table, verdict_table, verdicts
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


def result(**values):
    def row(value):
        return {
            "value": value,
            "status": "ok" if value is not None else "failed",
            "unit": "px",
            "variant": "",
            "region": "",
        }

    summary = {name: row(value) for name, value in values.items()}
    details = {name: {"reason": "no face", "higher_is_better": name == "psnr"} for name in values}
    return {"summary": summary, "truth": {}, "details": details, "clips": {"a": {}}}


ROWS = {
    "full": [result(lmd=1.0, psnr=30.0), result(lmd=1.2, psnr=32.0)],
    "w/o A": [result(lmd=2.0, psnr=31.0), result(lmd=2.2, psnr=30.5)],
    "w/o B": [result(lmd=1.0, psnr=35.0), result(lmd=1.0, psnr=35.2)],
}


def test_a_direction_agrees_disagrees_or_cannot_be_told_from_the_spread():
    found = {(v.row, v.metric): v for v in verdicts(ROWS, PAPER)}
    assert {key: v.judgement for key, v in found.items()} == {
        ("w/o A", "lmd"): "agrees",
        ("w/o A", "psnr"): "undecided",
        ("w/o B", "psnr"): "disagrees",
    }
    one = found["w/o A", "lmd"]
    assert (one.ours, one.theirs) == (pytest.approx(1.0), 1.0)
    assert one.doubt == pytest.approx(2 * (2 * 0.02 / 2) ** 0.5)  # variances 0.02 of two seeds each
    text = verdict_table(list(found.values()))
    assert "Of 3 differences to the full model, 1 have the paper's direction, 1 the other, 1 cannot" in text
    assert "| w/o A | lmd | +1 | 0.283 | +1 | agrees |" in text


def test_one_seed_decides_nothing():
    one = {row: of[:1] for row, of in ROWS.items()}
    assert {v.judgement for v in verdicts(one, PAPER)} == {"undecided"}


def test_the_table_has_means_with_their_spread_and_the_papers_rows_below():
    text = markdown(sweep_table("ablation", ROWS, PAPER))
    assert "1.100 ± 0.141" in text and "2.100 ± 0.141" in text
    assert "quoted: A paper, Table 9" in text and "standard deviation over 2 seeds" in text
    assert text.index("w/o B") < text.index("quoted")


def test_a_row_without_a_number_says_why():
    rows = {"full": [result(lmd=None)], "none": []}
    text = markdown(sweep_table("ablation", rows))
    assert "n/a" in text and "no face" in text and "no point of this row ended" in text
    with pytest.raises(VisemixError, match="nothing to put"):
        sweep_table("ablation", {"full": []})


def test_the_first_row_must_be_one_of_the_papers():
    with pytest.raises(VisemixError, match="'ours', is none of Table 9's rows"):
        verdicts({"ours": ROWS["full"]}, PAPER)
