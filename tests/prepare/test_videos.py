import io
import json
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
import yaml
from rich.console import Console
from tiny_videos import beeps

from visemix.data import ClipFolder, VideoWriter, probe
from visemix.prepare import extract as extract_module
from visemix.prepare.videos import prepare
from visemix.types import VisemixError


def scene(frames=12, height=96, width=128, faces=((40, 30, 30),), shade=40, away=()):
    """Grey pictures with a white square (x, y, side) for each face, which moves right by a pixel a frame."""
    pictures = torch.full((frames, 3, height, width), shade, dtype=torch.uint8)
    for k in range(frames):
        for x, y, side in faces if k not in away else ():
            pictures[k, :, y : y + side, x + k : x + k + side] = 250
    return pictures


BEEPS = beeps(12)
FAKES = str(Path(__file__).parents[1] / "fake_parts.py")


def video(path, pictures=None, sound=BEEPS, **options):
    with VideoWriter(path, sound=sound) as out:
        out.write(scene(**options) if pictures is None else pictures)
    return path


def run(videos, out, **options):
    parts = {"face": "toy", "tracker": "blobs", "fit": "still", "scene": None, "plugins": [FAKES]}
    options = parts | {"size": 64, "holdout": 0.0} | options
    options.setdefault("console", Console(file=io.StringIO(), width=200))
    return prepare(videos, out, **options)


def refused(path, tmp_path, **options):
    """Why a video is refused; nothing but the log must be left."""
    result = run([path], tmp_path / "out", **options)
    assert result.exit_code == 2 and list(result.failed) == [path.stem]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["prepare.log.jsonl"]
    return result.failed[path.stem]


def meta(out, name):
    return yaml.safe_load((out / name / "meta.yaml").read_text())


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


def test_the_crop_and_its_landmarks_follow_the_face(tmp_path, face):
    run([video(tmp_path / "anna.mp4")], tmp_path / "out")
    clip = ClipFolder(tmp_path / "out/anna", face)
    crop = clip.meta["crop"]
    scale = 64 / crop["side"]
    corner = clip.tensor("landmarks")[:, 0]
    for k in (0, 11):
        x, y = (40 + k - crop["x"]) * scale, (30 - crop["y"]) * scale
        assert abs(corner[k, 0] - x) <= scale and abs(corner[k, 1] - y) <= scale
        picture = clip.footage([k])[0, 0]
        assert picture[int(y + 15 * scale), int(x + 15 * scale)] > 0.9 and picture[int(y - 4), int(x - 4)] < 0.3


def test_the_sound_keeps_step_with_the_frames(tmp_path):
    run([video(tmp_path / "anna.mp4")], tmp_path / "out")
    loud = ClipFolder(tmp_path / "out/anna").speech().wave.view(12, 640).square().mean(1).sqrt()
    assert (loud > 0.3).nonzero()[:, 0].tolist() == [0, 5, 10]


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
        ({"fit": {"name": "still", "shift": 1.0}}, "exists with fit.shift 0.0, not 1.0; pass --overwrite or another"),
        ({"fit": "landmarks"}, "exists with fit still, not landmarks; pass --overwrite"),
        ({"scene": "bright"}, "exists with scene none, not bright; pass --overwrite"),
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


def test_no_face(tmp_path):
    assert "no face found in" in refused(video(tmp_path / "wall.mp4", faces=()), tmp_path)


def test_of_two_faces_the_larger_is_followed_and_it_is_said(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    path = video(tmp_path / "two.mp4", faces=((10, 20, 20), (70, 20, 30)))
    run([path], tmp_path / "out", console=console)
    assert meta(tmp_path / "out", "two")["notes"] == ["2 faces are seen; the larger is followed"]
    assert "two: 2 faces are seen; the larger is followed" in console.file.getvalue()
    crop = meta(tmp_path / "out", "two")["crop"]
    assert crop["x"] + crop["side"] / 2 > 70


def test_a_face_that_leaves_for_ten_frames_is_bridged_and_it_is_said(tmp_path):
    path = video(tmp_path / "a.mp4", frames=30, away=range(10, 20), sound=beeps(30))
    run([path], tmp_path / "out")
    about = meta(tmp_path / "out", "a")
    assert about["frames"] == 30 and about["notes"] == [
        "the face is away for 10 frames, which are interpolated and not trained on"
    ]
    assert about["away"] == [[10, 20]]


def test_a_face_that_leaves_for_longer_gives_its_longest_stretch(tmp_path):
    path = video(tmp_path / "a.mp4", frames=40, away=range(8, 19), sound=beeps(40))
    run([path], tmp_path / "out")
    about = meta(tmp_path / "out", "a")
    assert (about["frames"], about["source"]["first"]) == (21, 19)
    assert about["notes"] == ["the face is seen from 0.76 s to 1.60 s of 1.60 s; the clip is cut to that"]
    loud = ClipFolder(tmp_path / "out/a").speech().wave.view(21, 640).square().mean(1).sqrt()
    assert (loud > 0.3).nonzero()[:, 0].tolist() == [1, 6, 11, 16]  # the source's 20, 25, …


def test_a_face_seen_in_few_frames_only_is_refused(tmp_path):
    path = video(tmp_path / "a.mp4", away=range(4, 12))
    assert "is seen for 4 frames only" in refused(path, tmp_path)


@pytest.mark.parametrize(("sound", "audio"), [(None, "none"), (torch.zeros(12 * 640), "silent")])
def test_without_speech_a_clip_is_prepared_and_flagged(tmp_path, sound, audio):
    run([video(tmp_path / "mute.mp4", sound=sound)], tmp_path / "out")
    assert meta(tmp_path / "out", "mute")["audio"] == audio
    assert ClipFolder(tmp_path / "out/mute").speech().wave.abs().max() < 1e-4


def test_a_video_that_breaks_off_gives_a_clip_of_what_is_there_and_it_is_said(tmp_path):
    whole = tmp_path / "whole.mkv"
    write_mkv(whole, scene(frames=50), beeps(50))
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    run([tmp_path / "cut.mkv"], tmp_path / "out")
    about = meta(tmp_path / "out", "cut")
    assert 20 < about["frames"] < 40 and len(about["notes"]) == 1
    assert about["notes"][0].startswith("breaks off at ") and "of 2.00 s; what is there is used" in about["notes"][0]


def test_sound_that_ends_early_is_noted(tmp_path):
    path = tmp_path / "a.mkv"
    write_mkv(path, scene(frames=25), beeps(12))
    run([path], tmp_path / "out")
    assert meta(tmp_path / "out", "a")["notes"] == ["its sound ends 0.52 s before its pictures; silence follows"]


def write_mkv(path, pictures, sound):
    blocks = (sound.numpy() * 32767).astype(np.int16).reshape(-1, 1, 640)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        stream.height, stream.width = pictures.shape[2:]
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for k, picture in enumerate(pictures):
            if k < len(blocks):
                block = av.AudioFrame.from_ndarray(blocks[k], "s16", "mono")
                block.sample_rate, block.pts = 16_000, k * 640
                container.mux(audio.encode(block))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_text_file_a_cut_off_one_a_missing_one_and_a_sound_are_refused_by_name(tmp_path):
    text, cut, sound = tmp_path / "text.mp4", tmp_path / "cut.mp4", tmp_path / "sound.wav"
    text.write_text("not a video\n" * 100)
    cut.write_bytes(video(tmp_path / "whole.mp4").read_bytes()[:2000])
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
    dead = tmp_path / "out/.a.4194304.part"  # above the largest process number there can be
    alive = tmp_path / f"out/.a.{os.getppid()}.part"
    dead.mkdir(parents=True)
    alive.mkdir()
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


def test_a_tall_full_body_picture_gives_a_square_of_the_head(tmp_path):
    path = video(tmp_path / "tall.mp4", height=320, width=180, faces=((70, 40, 24),))
    run([path], tmp_path / "out")
    crop = meta(tmp_path / "out", "tall")["crop"]
    assert crop["side"] < 80 and crop["x"] > 30 and crop["y"] < 40
    assert probe(tmp_path / "out/tall/frames.mp4").width == 64


def test_held_out_frames_change_nothing_that_a_clip_has_once_nor_any_frame_before(tmp_path):
    pictures = torch.full((50, 3, 96, 128), 40, dtype=torch.uint8)
    pictures += torch.randint(0, 60, pictures.shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures[:, :, 30:60, 40:70] = 250
    for name in ("plain", "other"):
        with VideoWriter(tmp_path / name / "a.mp4", causal=True) as out:
            out.write(pictures)
        pictures[27:] = 160 - pictures[27:].clamp(max=100)  # another wall behind a face
        pictures[27:, :, 32:58, 42:68] = torch.tensor([250, 220, 210], dtype=torch.uint8)[:, None, None]
        run([tmp_path / name / "a.mp4"], tmp_path / f"clips_{name}", fit="landmarks", scene="bright", holdout=0.92)
    plain, other = (tmp_path / f"clips_{name}/a" for name in ("plain", "other"))
    assert meta(tmp_path / "clips_plain", "a")["holdout"] == 0.92
    assert (plain / "background.png").read_bytes() == (other / "background.png").read_bytes()
    one, two = ClipFolder(plain), ClipFolder(other)
    assert one.meta["crop"] == two.meta["crop"]
    for once in ("identity", "albedo"):
        assert torch.equal(one.tensor(once), two.tensor(once))
    for timed in ("expression", "pose", "light", "landmarks", "torso"):
        assert torch.equal(one.tensor(timed)[:27], two.tensor(timed)[:27])
    assert torch.equal(one.footage(range(27)), two.footage(range(27)))
    assert not torch.equal(one.footage([27]), two.footage([27]))


def test_without_opencv_a_torso_is_not_followed_which_the_notes_say(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    run([video(tmp_path / "a.mp4", frames=8)], tmp_path / "out", scene="bright")
    assert any("its torso is not followed" in note for note in meta(tmp_path / "out", "a")["notes"])
    assert (ClipFolder(tmp_path / "out/a").subject([0, 7]).torso == 0).all()


def test_a_clip_too_short_to_hold_anything_out_is_learned_from_whole_and_says_so(tmp_path):
    run([video(tmp_path / "a.mp4", frames=40, sound=beeps(40))], tmp_path / "out", holdout=2.0)
    about = meta(tmp_path / "out", "a")
    assert about["holdout"] == 0.0
    assert about["notes"] == [
        "it is too short to hold out 2 s: all of it is learned from, so scores on its end are not of footage never seen"
    ]


def test_a_clip_with_less_held_out_than_is_asked_for_is_not_taken_for_done(tmp_path):
    path = video(tmp_path / "a.mp4", frames=40, sound=beeps(40))
    run([path], tmp_path / "out", holdout=0.4)
    assert run([path], tmp_path / "out", holdout=0.2).skipped == ["a"]
    assert run([path], tmp_path / "out", holdout=2.0).skipped == ["a"]  # it is too short for that
    result = run([path], tmp_path / "out", holdout=0.6)
    assert "a exists with holdout 0.4, not 0.6; pass --overwrite or another --out" in result.failed["a"]


def test_a_real_clip_without_sound_is_a_target_to_render(tmp_path, assets):
    """Real tracker, fake fit: 78 frames of which mediapipe sees the face in each."""
    run([assets / "clips/no_audio_track.mp4"], tmp_path / "out", tracker="mediapipe")
    about = meta(tmp_path / "out", "no_audio_track")
    assert (about["frames"], about["audio"], about["notes"]) == (78, "none", [])
    landmarks = ClipFolder(tmp_path / "out/no_audio_track").tensor("landmarks")
    assert landmarks.min() > 8 and landmarks.max() < 56  # room on every side of 64 pixels
    assert 0.4 < float((landmarks.amax(1) - landmarks.amin(1)).mean()) / 64 < 0.7


def test_lips_that_keep_still_while_somebody_speaks_are_noted(tmp_path):
    path = video(tmp_path / "anna.mp4", frames=110, width=256, sound=beeps(110))
    shown = Console(file=io.StringIO(), width=300)
    run([path], tmp_path / "out", console=shown)
    note = "no lip sync: its lips do not follow its sound (the mouth does not move); motion is not learned from it"
    assert meta(tmp_path / "out", "anna")["lip_sync"]["follows"] is False
    assert meta(tmp_path / "out", "anna")["notes"] == [note] and f"anna: {note}" in shown.file.getvalue()
