import json

import pytest

from visemix.report.formats import markdown
from visemix.report.results import check_together, comparison, frames_of, read_result, variants, write_comparison
from visemix.report.tables import lay
from visemix.types import VisemixError


def score(value, status="ok", reason="", frames=()):
    return {"value": value, "status": status, "reason": reason, "frames": list(frames)}


def row(value, status="ok", unit="dB"):
    return {"value": value, "status": status, "unit": unit, "variant": "RGB", "region": "full"}


def result(folder, values, *, real=b"real"):
    """An evaluation of clips a, b, … by PSNR, whose FID has no weights."""
    clips, blind = {}, score(None, "unavailable", "no weights")
    for name, value in zip("abcdef", values, strict=False):
        (folder / f"{name}.mp4").write_bytes(real + name.encode())
        clips[name] = {
            "real": str(folder / f"{name}.mp4"), "fake": str(folder / f"{name}.mp4"), "frames": 3, "fps": 25.0,
            "size": [64, 64], "notes": [],
            "metrics": {"psnr": score(value, frames=[1.0, None, "inf"]), "fid": blind},
            "truth": {"psnr": score(None, "inf", "equal"), "fid": blind},
        }  # fmt: skip
    fid = row(None, "unavailable", "1")
    return {
        "summary": {"psnr": row(sum(values) / len(values)), "fid": fid},
        "truth": {"psnr": row(None, "inf"), "fid": fid},
        "details": {
            "psnr": {"reason": "", "higher_is_better": True, "ideal": None, "per": "frame"},
            "fid": {"reason": "a (and 1 more): no weights", "higher_is_better": False, "ideal": None, "per": "set"},
        },
        "clips": clips,
        "notes": [],
    }


def test_the_recording_ours_and_the_papers_rows_stand_in_this_order(tmp_path):
    table = comparison({"ours": result(tmp_path, [30.0, 32.0]), "theirs": result(tmp_path, [28.0, 28.0])})
    assert [(group.title[:13], [line.name for line in group.rows][:3]) for group in table.groups] == [
        ("measured here", ["recorded", "ours", "theirs"]),
        ("quoted: GSmoo", ["ATVG", "Wav2Lip", "MakeItTalk"]),
        ("quoted: GeneF", ["Wav2Lip", "MakeItTalk", "PC-AVS"]),
    ]
    assert "| recorded | inf | n/a¹ |" in markdown(table)
    assert "| ours | **31.000** [30.000, 32.000] | n/a¹ |" in markdown(table)
    assert "| theirs | 28.000 | n/a¹ |" in markdown(table)  # both clips alike: nothing to put in brackets
    assert lay(table).footnotes == ["unavailable: no weights"]
    assert table.groups[0].title == "measured here, 2 clips"


def test_a_clip_alone_is_named_in_the_reason_and_brackets_need_two(tmp_path):
    one = result(tmp_path, [30.0, 31.0])
    one["summary"]["psnr"] = row(None, "invalid")
    one["clips"]["b"]["metrics"]["psnr"] = score(None, "invalid", "no face was found in 3 of 3 frames")
    table = comparison({"ours": one})
    assert "invalid: b: no face was found in 3 of 3 frames" in lay(table).footnotes
    assert "| ours | 30.000 |" in markdown(comparison({"ours": result(tmp_path, [30.0])}))


def test_over_different_clips_nothing_is_called_the_best(tmp_path):
    table = comparison({"ours": result(tmp_path, [30.0, 32.0]), "theirs": result(tmp_path, [28.0])}, quoted=())
    assert "**" not in markdown(table)
    assert table.groups[0].title == "measured here, clips: 2 of ours, 1 of theirs"
    assert table.notes[0].startswith("Not every method has every clip")


def test_only_some_metrics_in_the_order_asked_for(tmp_path):
    table = comparison({"ours": result(tmp_path, [30.0])}, only=["fid", "lmd", "psnr"], quoted=())
    assert [column.key for column in table.columns] == ["fid", "psnr"]


def test_readers_get_headlines_and_programs_everything(tmp_path):
    ours = result(tmp_path, [30.0])
    for part in ("summary", "truth"):
        ours[part]["psnr_pooled"] = ours[part]["psnr"]
    write_comparison([tmp_path / "t.md", tmp_path / "t.csv"], {"ours": ours})
    assert "psnr_pooled" not in (tmp_path / "t.md").read_text()
    assert "ours,psnr_pooled" in (tmp_path / "t.csv").read_text()


def test_frames_without_a_number_are_gaps(tmp_path):
    ours = result(tmp_path, [30.0])
    assert str(frames_of(ours, "a", "psnr")) == "[1.0, nan, inf]"
    assert frames_of(ours, "a", "lmd") == frames_of(ours, "z", "psnr") == []
    assert variants({"ours": ours})[0] == ["psnr", "dB", "full", "RGB"]


def test_methods_must_have_been_scored_against_the_same_recordings(tmp_path):
    (tmp_path / "other").mkdir()
    ours, theirs = result(tmp_path, [30.0]), result(tmp_path / "other", [30.0], real=b"another")
    with pytest.raises(VisemixError, match="'ours' and 'theirs' were scored against different recordings of 'a'"):
        check_together({"ours": ours, "theirs": theirs})
    (tmp_path / "other/a.mp4").unlink()
    with pytest.raises(VisemixError, match=r"a\.mp4, which 'theirs' was scored against, is gone"):
        check_together({"ours": ours, "theirs": theirs})


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is no JSON"), ("[]", "is no evaluation"), ('{"summary": {}}', "is no evaluation"), (None, "cannot read")],
)
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, content, said):
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(VisemixError, match=said):
        read_result(path)
    ours = result(tmp_path, [30.0])
    path.write_text(json.dumps(ours))
    assert read_result(path) == ours


def test_a_number_of_all_frames_together_brings_its_caution(tmp_path):
    ours = result(tmp_path, [30.0, 31.0])
    ours["summary"]["fid"] = row(12.5, unit="1")
    ours["details"]["fid"] |= {"reason": "", "caution": "of 6 frames; few"}
    table = comparison({"ours": ours}, quoted=())
    assert "| ours | 30.500 [30.000, 31.000] | 12.50" in markdown(table)
    assert "fid of 6 frames; few" in lay(table).footnotes
