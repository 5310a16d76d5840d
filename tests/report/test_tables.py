import csv
import io
import json
import math

import pytest

from visemix.report.formats import as_json, check_files, comma_separated, html, latex, markdown, write_tables
from visemix.report.tables import Cell, Column, Group, Row, Table, format_table
from visemix.types import VisemixError

COLUMNS = [
    Column("psnr", "dB", "higher", 1),
    Column("lmd", "px", "lower", 2),
    Column("jitter", "× real", "nearer", 2, ideal=1.0),
]
WHY = "unavailable: no face_tracker"


@pytest.fixture
def table():
    measured = [
        Row("recorded", {"psnr": Cell(math.inf), "lmd": Cell(0.0), "jitter": Cell(1.0)}, competes=False),
        Row("ours", {"psnr": Cell(31.24, (30.1, 32.3)), "lmd": Cell(1.5), "jitter": Cell(0.9)}),
        Row("theirs", {"psnr": Cell(29.0), "lmd": Cell(None, reason=WHY), "jitter": Cell(1.3)}),
    ]
    quoted = [Row("A & B", {"psnr": Cell(22.5)}), Row("C", {"psnr": Cell(40.0)})]
    return Table("Scores", COLUMNS, [Group("measured", measured), Group("quoted, 50 %", quoted)], ["A note."])


def words(table):
    return {name: [text.words for text in texts] for _, rows in format_table(table).groups for name, texts in rows}


def best(table):
    return {name: [text.best for text in texts] for _, rows in format_table(table).groups for name, texts in rows}


def test_best_is_by_direction_within_a_group_and_never_the_recording(table):
    assert best(table) == {
        "recorded": [False, False, False],
        "ours": [True, False, True],  # one number alone, as in the second column, is no best
        "theirs": [False, False, False],
        "A & B": [False, False, False],
        "C": [True, False, False],
    }


def test_what_reads_alike_is_marked_alike():
    rows = [Row("a", {"psnr": Cell(30.04)}), Row("b", {"psnr": Cell(30.01)}), Row("c", {"psnr": Cell(29.9)})]
    assert best(Table("", COLUMNS[:1], [Group("", rows)])) == {"a": [True], "b": [True], "c": [False]}


def test_missing_infinite_and_unquoted_each_have_a_word_of_their_own(table):
    assert words(table)["recorded"] == ["inf", "0.00", "1.00"]
    assert words(table)["theirs"] == ["29.0", "n/a", "1.30"]
    assert words(table)["C"] == ["40.0", "–", "–"]
    assert format_table(table).footnotes == [WHY]


def test_a_number_may_have_a_footnote_too():
    rows = [Row("a", {"psnr": Cell(-1e-9, reason="of few frames")}), Row("b", {"psnr": Cell(-2.0)})]
    formatted = format_table(Table("", COLUMNS[:1], [Group("", rows)]))
    assert [(text.words, text.mark) for _, texts in formatted.groups[0][1] for text in texts] == [
        ("0.0", 1),
        ("-2.0", None),
    ]
    assert formatted.footnotes == ["of few frames"]


def test_equal_reasons_share_a_footnote():
    cells = {"psnr": Cell(None, reason="x"), "lmd": Cell(None, reason="y"), "jitter": Cell(None, reason="x")}
    formatted = format_table(Table("", COLUMNS, [Group("", [Row("a", cells)])]))
    assert [text.mark for text in formatted.groups[0][1][0][1]] == [1, 2, 1]
    assert formatted.footnotes == ["x", "y"]


def test_markdown(table):
    assert markdown(table) == (
        "**Scores**\n\n"
        "|  | psnr (dB) ↑ | lmd (px) ↓ | jitter (× real) → 1 |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| *measured* |  |  |  |\n"
        "| recorded | inf | 0.00 | 1.00 |\n"
        "| ours | **31.2** [30.1, 32.3] | 1.50 | **0.90** |\n"
        "| theirs | 29.0 | n/a¹ | 1.30 |\n"
        "| *quoted, 50 %* |  |  |  |\n"
        "| A & B | 22.5 | – | – |\n"
        "| C | **40.0** | – | – |\n\n"
        "¹ unavailable: no face_tracker\n\n"
        "A note.\n"
    )


def test_latex_escapes_what_latex_would_read_as_commands(table):
    text = latex(table)
    assert r"A \& B & 22.5 & -- & -- \\" in text
    assert r"ours & \textbf{31.2} {\scriptsize [30.1, 32.3]} & 1.50 & \textbf{0.90} \\" in text
    assert r"theirs & 29.0 & n/a\textsuperscript{1} & 1.30 \\" in text
    assert r"\multicolumn{4}{l}{\emph{quoted, 50 \%}} \\" in text
    assert r"\textsuperscript{1} unavailable: no face\_tracker" in text
    assert r" & psnr (dB) $\uparrow$ & lmd (px) $\downarrow$ & jitter ($\times$ real) $\rightarrow$ 1 \\" in text
    assert text.count("{") == text.count("}")


def test_csv_and_json_keep_every_digit_and_leave_a_missing_number_empty(table):
    rows = list(csv.DictReader(io.StringIO(comma_separated(table))))
    by_place = {(row["method"], row["metric"]): row for row in rows}
    assert len(rows) == 11
    assert by_place["ours", "psnr"] == {
        "group": "measured", "method": "ours", "metric": "psnr", "value": "31.24", "low": "30.1", "high": "32.3",
        "unit": "dB", "better": "higher", "reason": "",
    }  # fmt: skip
    assert (by_place["theirs", "lmd"]["value"], by_place["theirs", "lmd"]["reason"]) == ("", WHY)
    assert by_place["recorded", "psnr"]["value"] == "inf"
    found = json.loads(as_json(table))
    assert [row["value"] for row in found["rows"]][:4] == ["inf", 0.0, 1.0, 31.24]
    assert found["notes"] == ["A note."]


def test_html_says_which_cells_head_rows_and_columns(table):
    text = html(table)
    assert text.count('scope="row"') == 5 and text.count('scope="col"') == 3 and text.count('scope="colgroup"') == 2
    assert "n/a<sup>1</sup>" in text and "A &amp; B" in text and "<b>31.2</b> <small>[30.1, 32.3]</small>" in text


def test_half_widths_for_symmetric_intervals():
    rows = [Row("a", {"mos": Cell(3.5, (3.25, 3.75))})]
    text = markdown(Table("", [Column("mos", digits=2)], [Group("", rows)], plus_minus=True))
    assert "| a | 3.50 ± 0.25 |" in text


def test_the_ending_names_the_format_and_existing_files_are_kept(tmp_path, table):
    paths = [tmp_path / f"deep/t.{kind}" for kind in ("md", "tex", "csv", "json")]
    write_tables(paths, table)
    assert [path.read_text()[:7] for path in paths] == ["**Score", "\\begin{", "group,m", '{\n "tit']
    with pytest.raises(VisemixError, match=r"t\.md exists and is kept"):
        check_files(paths, overwrite=False)
    check_files(paths, overwrite=True)
    with pytest.raises(VisemixError, match=r"t\.xlsx: tables are written as \.md, \.tex, \.csv, \.json"):
        check_files([tmp_path / "t.xlsx"], overwrite=False)


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1"])
def test_a_text_of_a_csv_is_no_formula_in_a_table_program(name):
    table = Table("", [Column("mos", digits=2)], [Group("=1", [Row(name, {"mos": Cell(-3.5)})])])
    (row,) = csv.DictReader(io.StringIO(comma_separated(table)))
    assert (row["group"], row["method"], row["value"]) == ("'=1", f"'{name}", "-3.5")
