import json
import math

import pytest

from visemix.report.formats import markdown
from visemix.study import score_study
from visemix.types import VisemixError

HEADER = "study,rater,item,position,lip_sync,video_realism,image_quality"
ITEMS = {"a1": ("ours", "x"), "a2": ("ours", "y"), "b1": ("recorded", "x"), "b2": ("recorded", "y")}


@pytest.fixture
def key(tmp_path):
    items = {item: {"method": method, "clip": clip} for item, (method, clip) in ITEMS.items()}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"study": "s1", "protocol": "mos", "seed": "0", "items": items}))
    return path


def answers(folder, rater, scores, study="s1", header=HEADER):
    rows = [
        f"{study},{rater},{item},{k},{','.join(map(str, given))}" for k, (item, given) in enumerate(scores.items(), 1)
    ]
    path = folder / f"{rater}.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.fixture
def three(tmp_path):
    """Three raters, whose means of `ours` in lip sync are 3, 4 and 5."""
    given = {"anna": (2, 4), "ben": (4, 4), "cleo": (5, 5)}
    return [
        answers(tmp_path, rater, {"a1": (x, 3, 3), "a2": (y, 3, 3), "b1": (5, 5, 5), "b2": (5, 5, 4)})
        for rater, (x, y) in given.items()
    ]


def cells(table, group=0):
    return {row.name: row.cells for row in table.groups[group].rows}


def test_means_are_over_raters_with_students_interval(three, key):
    table = score_study(three, key)
    lips = cells(table)["ours"]["lip_sync"]
    half = 4.302653 * 1 / math.sqrt(3)  # t(2), standard deviation of 3, 4, 5
    assert lips.value == 4.0 and lips.interval == pytest.approx((4 - half, 4 + half), abs=1e-5)
    assert cells(table)["recorded"]["image_quality"].value == 4.5
    assert table.groups[0].title == "this study, 3 raters, 2 clips, 1 to 5"
    assert [row.competes for row in table.groups[0].rows] == [True, False]


def test_the_papers_own_study_stands_below(three, key):
    table = score_study(three, key)
    assert table.groups[1].title.startswith("quoted: GeneFace (arXiv 2301.13430), Table 2")
    assert "| GeneFace | **3.82** ± 0.24 | **3.87** ± 0.16 | 3.87 ± 0.16 |" in markdown(table)


def test_unfinished_raters_are_in_and_named_and_one_alone_has_no_interval(tmp_path, key):
    table = score_study([answers(tmp_path, "anna", {"a1": (2, 2, 2)})], key)
    assert cells(table)["ours"]["lip_sync"].value == 2.0 and cells(table)["ours"]["lip_sync"].interval is None
    assert cells(table)["recorded"]["lip_sync"].reason == "nobody rated a video of this method"
    assert "Unfinished answers are in it: anna (1 of 4)." in table.notes
    assert "| recorded | n/a¹ | n/a¹ | n/a¹ |" in markdown(table)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("s2,anna,a1,1,3,3,3", r"line 2 answers another study \(s2\); this key is for s1"),
        ("s1,anna,a1,1,3,3", "line 2 has 6 fields, not 7"),
        ("s1,anna,zz,1,3,3,3", "line 2 rates a video 'zz' that this study does not have"),
        ("s1,anna,a1,1,3,6,3", "line 2: '6' is no score; the scale is 1, 2, 3, 4, 5"),
        ("s1,anna,a1,1,3,,3", "line 2: '' is no score"),
        ("s1, ,a1,1,3,3,3", "line 2 does not say who rates"),
        ("", "holds no answers"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, key, row, said):
    path = tmp_path / "answers.csv"
    path.write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(VisemixError, match=f"answers.csv.*{said}"):
        score_study([path], key)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00bad", b"\x00\x01"])
def test_a_file_that_is_no_answers_is_refused(tmp_path, key, content):
    path = tmp_path / "answers.csv"
    path.write_bytes(content)
    with pytest.raises(VisemixError, match=r"answers\.csv is no (answers file|CSV)"):
        score_study([path], key)


def test_what_a_spreadsheet_puts_before_the_first_line_is_no_harm(tmp_path, key):
    path = tmp_path / "answers.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\ns1,anna,a1,1,3,3,3\r\n".encode())
    assert cells(score_study([path], key))["ours"]["lip_sync"].value == 3.0


def test_a_rater_who_comes_twice_is_refused(three, key):
    with pytest.raises(VisemixError, match="rater 'anna' rates video a1 again"):
        score_study([*three, three[0]], key)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"study": "s", "protocol": "new", "items": {}}'])
def test_a_file_that_is_no_key_is_refused(tmp_path, three, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(VisemixError, match=r"other\.json is no key of a study"):
        score_study(three, path)
    with pytest.raises(VisemixError, match="cannot read"):
        score_study(three, tmp_path / "none.json")


def test_a_rater_is_one_however_their_name_is_spaced_and_written(tmp_path, key):
    for k, name in enumerate(["anna", " anna ", "Anna", "ａnna"]):
        path = tmp_path / f"{k}.csv"
        path.write_text(f"{HEADER}\ns1,{name},a{k % 2 + 1},1,3,3,3\n", encoding="utf-8")
    with pytest.raises(VisemixError, match="rater 'anna' rates video a1 again"):
        score_study([tmp_path / "0.csv", tmp_path / "2.csv"], key)
    table = score_study([tmp_path / "0.csv", tmp_path / "1.csv"], key)
    assert table.groups[0].title.startswith("this study, 1 rater,")


def test_control_characters_of_a_rater_are_spelt_out(tmp_path, key):
    (tmp_path / "a.csv").write_text(f"{HEADER}\ns1,\x1b[31manna,a1,1,3,3,3\n", encoding="utf-8")
    assert "\x1b" not in "".join(score_study([tmp_path / "a.csv"], key).notes)
