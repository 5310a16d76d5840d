from dataclasses import replace

import pytest

from visemix.evaluation.result import ClipScores, Details, Mean, Result
from visemix.metrics.suite import Score
from visemix.report.formats import markdown
from visemix.report.results import check_together, comparison, variants, write_comparison
from visemix.report.tables import format_table
from visemix.types import VisemixError


def row(value, status="ok", unit="dB"):
    return Mean(value, status, unit, "RGB", "full")


def result(folder, values, *, real=b"real"):
    """An evaluation of clips a, b, … by PSNR, whose FID has no weights."""
    clips, blind = {}, Score(None, "unavailable", "no weights")
    for name, value in zip("abcdef", values, strict=False):
        video = folder / f"{name}.mp4"
        video.write_bytes(real + name.encode())
        made = {"psnr": Score(value, frames=(1.0, float("nan"), float("inf"))), "fid": blind}
        same = {"psnr": Score(None, "inf", "equal"), "fid": blind}
        clips[name] = ClipScores(video, video, 3, 25.0, (64, 64), [], made, same)
    fid = row(None, "unavailable", "1")
    return Result(
        {"psnr": row(sum(values) / len(values)), "fid": fid},
        {"psnr": row(None, "inf"), "fid": fid},
        {
            "psnr": Details(higher_is_better=True),
            "fid": Details("a (and 1 more): no weights", higher_is_better=False, per="set"),
        },
        clips,
    )


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
    assert format_table(table).footnotes == ["unavailable: no weights"]
    assert table.groups[0].title == "measured here, 2 clips"


def test_a_clip_alone_is_named_in_the_reason_and_brackets_need_two(tmp_path):
    one = result(tmp_path, [30.0, 31.0])
    one.summary["psnr"] = row(None, "invalid")
    one.clips["b"].metrics["psnr"] = Score(None, "invalid", "no face was found in 3 of 3 frames")
    table = comparison({"ours": one})
    assert "invalid: b: no face was found in 3 of 3 frames" in format_table(table).footnotes
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
    for part in (ours.summary, ours.truth, ours.details):
        part["psnr_pooled"] = part["psnr"]
    write_comparison([tmp_path / "t.md", tmp_path / "t.csv"], {"ours": ours})
    assert "psnr_pooled" not in (tmp_path / "t.md").read_text()
    assert "ours,psnr_pooled" in (tmp_path / "t.csv").read_text()


def test_every_metric_is_listed_with_the_convention_it_follows(tmp_path):
    assert variants({"ours": result(tmp_path, [30.0])})[0] == ["psnr", "dB", "full", "RGB"]


def test_methods_must_have_been_scored_against_the_same_recordings(tmp_path):
    (tmp_path / "other").mkdir()
    ours, theirs = result(tmp_path, [30.0]), result(tmp_path / "other", [30.0], real=b"another")
    with pytest.raises(VisemixError, match="'ours' and 'theirs' were scored against different recordings of 'a'"):
        check_together({"ours": ours, "theirs": theirs})
    (tmp_path / "other/a.mp4").unlink()
    with pytest.raises(VisemixError, match=r"a\.mp4, which 'theirs' was scored against, is gone"):
        check_together({"ours": ours, "theirs": theirs})


def test_a_number_of_all_frames_together_brings_its_caution(tmp_path):
    ours = result(tmp_path, [30.0, 31.0])
    ours.summary["fid"] = row(12.5, unit="1")
    ours.details["fid"] = replace(ours.details["fid"], reason="", caution="of 6 frames; few")
    table = comparison({"ours": ours}, quoted=())
    assert "| ours | 30.500 [30.000, 31.000] | 12.50" in markdown(table)
    assert "fid of 6 frames; few" in format_table(table).footnotes
