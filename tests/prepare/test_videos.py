import io
import json
import os
import unicodedata
from pathlib import Path

import pytest
import soundfile
import yaml
from prepare_maker import meta, refused, run, scene, video
from tiny_videos import beeps

from visemix.data import ClipFolder
from visemix.ops.locks import scratch
from visemix.ops.progress import Console
from visemix.prepare import extract as extract_module
from visemix.types import VisemixError


def test_a_video_becomes_a_clip(tmp_path, face):
    path = video(tmp_path / "anna_000.mp4")
    result = run([path], tmp_path / "out")
    assert (result.done, result.skipped, result.failed, result.exit_code) == (["anna_000"], [], {}, 0)
    about = meta(tmp_path / "out", "anna_000")
    assert (about["frames"], about["fps"], about["size"], about["seconds"]) == (12, 25, 64, 0.48)
    assert (about["speaker"], about["audio"], about["notes"]) == ("anna", "speech", [])
    assert about["fit"] == {"reprojection_px": 1.5, "inner_mouth_px": 0.75, "mouth_opening_r": 0.5}
    assert about["face"]["name"] == "toy" and about["tools"]["av"]
    assert about["lip_sync"] == {
        "follows": None,
        "lag": 0,
        "reason": "12 frames with sound; a lag needs 100 (4 s) or more",
    }
    source = about["source"]
    assert (source["name"], source["frames"], source["width"], source["height"], source["fps"], source["first"]) == (
        "anna_000.mp4", 12, 128, 96, 25, 0,
    )  # fmt: skip
    assert len(source["sha256"]) == 64 and source["bytes"] == path.stat().st_size


def test_what_is_there_is_skipped_and_made_again_when_told(tmp_path):
    path = video(tmp_path / "anna.mp4")
    run([path], tmp_path / "out")
    mark = tmp_path / "out/anna/mark"
    mark.touch()
    again = run([path], tmp_path / "out")
    assert (again.done, again.skipped, again.exit_code) == ([], ["anna"], 0) and mark.exists()
    assert run([path], tmp_path / "out", overwrite=True).done == ["anna"] and not mark.exists()


@pytest.mark.parametrize("change", ["video", "size"])
def test_a_clip_of_something_else_is_kept_and_the_way_out_named(tmp_path, change):
    path = video(tmp_path / "anna.mp4")
    run([path], tmp_path / "out")
    if change == "video":
        path.unlink()
        video(path, shade=60)
    result = run([path], tmp_path / "out", size=64 if change == "video" else 128)
    assert result.exit_code == 2 and "--overwrite" in result.failed["anna"]
    assert meta(tmp_path / "out", "anna")["size"] == 64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"fit": {"name": "still", "shift": 1.0}},
            "exists with fit.shift 0.0, not 1.0; choose another --out or pass",
        ),
        ({"fit": "landmarks"}, "exists with fit still, not landmarks; choose another --out or pass"),
        ({"scene": "bright"}, "exists with scene none, not bright; choose another --out or pass"),
    ],
)
def test_a_clip_made_in_another_way_is_not_taken_for_the_one_that_is_asked_for(tmp_path, options, words):
    path = video(tmp_path / "anna.mp4")
    run([path], tmp_path / "out")
    assert meta(tmp_path / "out", "anna")["parts"]["fit"] == {"name": "still", "shift": 0.0}
    result = run([path], tmp_path / "out", **options)
    assert result.skipped == [] and words in result.failed["anna"]
    assert run([path], tmp_path / "out", fit={"name": "still", "shift": 0.0}).skipped == ["anna"]


def test_a_clip_of_before_it_was_noted_how_it_was_made_is_taken_as_it_is(tmp_path):
    path = video(tmp_path / "anna.mp4")
    run([path], tmp_path / "out")
    about = meta(tmp_path / "out", "anna")
    del about["parts"]
    (tmp_path / "out/anna/meta.yaml").write_text(yaml.safe_dump(about))
    assert run([path], tmp_path / "out", scene="bright").skipped == ["anna"]


def test_a_folder_that_is_no_clip_is_kept(tmp_path):
    (tmp_path / "out/anna").mkdir(parents=True)
    (tmp_path / "out/anna/thesis.txt").write_text("precious")
    result = run([video(tmp_path / "anna.mp4")], tmp_path / "out")
    assert "anna is no prepared clip" in result.failed["anna"]
    assert (tmp_path / "out/anna/thesis.txt").read_text() == "precious"


def test_a_text_file_a_cut_off_one_a_missing_one_and_a_sound_are_refused_by_name(tmp_path):
    text, cut, sound = tmp_path / "text.mp4", tmp_path / "cut.mp4", tmp_path / "sound.wav"
    text.write_text("not a video\n" * 100)
    cut.write_bytes(video(tmp_path / "whole.mp4").read_bytes()[:500])
    soundfile.write(sound, beeps(12).numpy(), 16_000)
    result = run([text, cut, tmp_path / "gone.mp4", sound], tmp_path / "out")
    assert "text.mp4 is not a readable video" in result.failed["text"]
    assert "cut.mp4 is not a readable video" in result.failed["cut"]
    assert "no such file" in result.failed["gone"]
    assert "sound.wav holds no picture" in result.failed["sound"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_videos_are_logged_with_their_reason_and_never_stop_the_others(tmp_path, jobs):
    (tmp_path / "bad.mp4").write_text("text")
    blue = scene()
    blue[:, 2, :4, :4] = 250
    videos = [tmp_path / "bad.mp4", video(tmp_path / "bug.mp4", blue), video(tmp_path / "good.mp4")]
    if jobs > 1:  # a process that dies takes its own video with it, no other
        red = scene()
        red[:, 0, :4, :4] = 250
        videos[1:1] = [video(tmp_path / "crash.mp4", red)]
    result = run(videos, tmp_path / "out", jobs=jobs)
    assert result.done == ["good"] and result.exit_code == 1
    assert result.failed["bug"] == "RuntimeError: a bug"
    assert "not a readable video" in result.failed["bad"]
    if jobs > 1:
        assert "its process died" in result.failed["crash"]
    log = [json.loads(line) for line in (tmp_path / "out/prepare.log.jsonl").read_text().splitlines()]
    assert {entry["clip"]: entry["reason"] for entry in log} == result.failed
    assert "Traceback" in next(entry["trace"] for entry in log if entry["clip"] == "bug")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good", "prepare.log.jsonl"]


def test_a_full_disk_leaves_no_half_clip(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(extract_module, "write_data", full)
    reason = refused(video(tmp_path / "a.mp4"), tmp_path)
    assert "could not be written (No space left on device); nothing was left behind" in reason


def test_what_a_killed_process_left_is_removed(tmp_path):
    dead = tmp_path / "out/.visemix-dead.part"
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    with scratch(tmp_path / "out") as alive:
        dead.mkdir(parents=True)
        run([video(tmp_path / "a.mp4")], tmp_path / "out")
        assert not dead.exists() and alive.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 63}, "--size 63 must be an even number"),
        ({"jobs": 0}, "--jobs 0"),
        ({"holdout": -1.0}, "--holdout -1 must be seconds, 0 or more"),
        ({"face": "tpy"}, "did you mean 'toy'"),
        ({"tracker": "blob"}, "did you mean 'blobs'"),
        ({"fit": {"name": "still", "speed": 3}}, "has no option 'speed'"),
    ],
)
def test_wrong_options_are_an_error_of_the_call(tmp_path, options, words):
    with pytest.raises(VisemixError, match=words):
        run([tmp_path / "a.mp4"], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_videos_and_two_of_one_name_are_errors_of_the_call(tmp_path):
    with pytest.raises(VisemixError, match="no videos given"):
        run([], tmp_path / "out")
    with pytest.raises(VisemixError, match="several videos would become the clip 'a'"):
        run([Path("x/a.mp4"), Path("y/a.mov")], tmp_path / "out")


def test_a_clip_with_less_held_out_than_is_asked_for_is_not_taken_for_done(tmp_path):
    path = video(tmp_path / "a.mp4", frames=40, sound=beeps(40))
    run([path], tmp_path / "out", holdout=0.4)
    assert run([path], tmp_path / "out", holdout=0.2).skipped == ["a"]
    assert run([path], tmp_path / "out", holdout=2.0).skipped == ["a"]  # it is too short for that
    result = run([path], tmp_path / "out", holdout=0.6)
    assert (
        "a exists with holdout 0.4, not 0.6; choose another --out or pass --overwrite (overwrite=True from Python)"
        in result.failed["a"]
    )


def test_a_real_clip_without_sound_is_a_target_to_render(tmp_path, assets):
    """Real tracker, fake fit: 78 frames of which mediapipe sees the face in each."""
    run([assets / "clips/no_audio_track.mp4"], tmp_path / "out", tracker="mediapipe")
    about = meta(tmp_path / "out", "no_audio_track")
    assert (about["frames"], about["audio"], about["notes"]) == (78, "none", [])
    landmarks = ClipFolder(tmp_path / "out/no_audio_track").tensor("landmarks")
    assert landmarks.min() > 8 and landmarks.max() < 56  # room on every side of 64 pixels
    assert 0.4 < float((landmarks.amax(1) - landmarks.amin(1)).mean()) / 64 < 0.7


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "ascii"])
def test_clips_and_log_are_utf_8_where_the_machine_takes_another_encoding_for_granted(tmp_path, monkeypatch, encoding):
    own = io.text_encoding
    monkeypatch.setattr(io, "text_encoding", lambda asked, level=2: encoding if asked is None else own(asked, level))
    name = "你好 Zoë"
    (tmp_path / "é.mp4").write_bytes(b"no video")
    result = run([video(tmp_path / f"{name}.mp4"), tmp_path / "é.mp4"], tmp_path / "out")
    assert result.done == [name] and ClipFolder(tmp_path / "out" / name).meta["source"]["name"] == f"{name}.mp4"
    body = (tmp_path / "out/prepare.log.jsonl").read_bytes().decode("utf-8")
    assert json.loads(body)["clip"] == "é"


def test_a_name_that_is_no_text_and_one_of_the_longest_stop_no_batch(tmp_path):
    good = video(tmp_path / "good.mp4")
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    odd.write_bytes(b"no video")
    long = tmp_path / ("n" * 251 + ".mp4")
    long.write_bytes(good.read_bytes())
    result = run([odd, long, good], tmp_path / "out")
    assert result.done == ["n" * 251, "good"] and list(result.failed) == [odd.stem]
    (entry,) = map(json.loads, (tmp_path / "out/prepare.log.jsonl").read_text("utf-8").splitlines())
    assert entry["video"] == str(odd)
    assert run([long], tmp_path / "out").skipped == ["n" * 251]


def test_two_spellings_of_one_name_are_one_clip(tmp_path):
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    with pytest.raises(VisemixError, match="several videos would become the clip 'Zoë'"):
        run([tmp_path / f"{name}.mp4" for name in names], tmp_path / "out")


def test_what_macos_notes_about_a_video_is_passed_over_aloud(tmp_path):
    said = io.StringIO()
    (tmp_path / "._a.mp4").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        ")
    videos = [tmp_path / "._a.mp4", video(tmp_path / "a.mp4")]
    result = run(videos, tmp_path / "out", console=Console(file=said, width=200))
    assert (result.done, result.failed, result.exit_code) == (["a"], {}, 0)
    assert "._a.mp4: passed over" in said.getvalue()
    with pytest.raises(VisemixError, match="no videos given"):
        run(videos[:1], tmp_path / "out")
