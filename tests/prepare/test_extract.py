import io
import re
import sys

import numpy as np
import pytest
import torch
from prepare_maker import meta, refused, run, scene, video, write_mkv
from tiny_videos import beeps

from visemix.data import ClipFolder, VideoWriter, probe
from visemix.ops.progress import Console
from visemix.prepare import RECONSTRUCT, TRACKER, Track


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


def test_lips_that_keep_still_while_somebody_speaks_are_noted(tmp_path):
    path = video(tmp_path / "anna.mp4", frames=110, width=256, sound=beeps(110))
    shown = Console(file=io.StringIO(), width=300)
    run([path], tmp_path / "out", console=shown)
    note = "no lip sync: its lips do not follow its sound (the mouth does not move); motion is not learned from it"
    assert meta(tmp_path / "out", "anna")["lip_sync"]["follows"] is False
    assert meta(tmp_path / "out", "anna")["notes"] == [note] and f"anna: {note}" in shown.file.getvalue()


def mesh():
    """A track whose landmarks are a whole mesh, which no shape checker has seen."""
    track = Track(0, np.ones(12, bool), np.zeros((12, 68, 2), np.float32))
    object.__setattr__(track, "landmarks", np.zeros((12, 478, 2), np.float32))
    return track


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "the face tracker Blobs answers with a NoneType; it must be a list"),
        ([3], "the face tracker Blobs, in its list, answers with a int; it must be a .*Track"),
        (
            [mesh()],
            r"landmarks of shape \(12, 478, 2\); they must be \(12, 68, 2\)",
        ),
    ],
)
def test_a_tracker_that_answers_otherwise_than_it_must_is_named(tmp_path, monkeypatch, answer, said):
    monkeypatch.setattr(TRACKER["blobs"], "__call__", lambda self, frames: answer if list(frames) else [])
    assert re.search(said, refused(video(tmp_path / "a.mp4"), tmp_path))


def test_so_is_a_reconstructor(tmp_path, monkeypatch):
    monkeypatch.setattr(RECONSTRUCT["still"], "__call__", lambda self, *_, **__: {"pose": 0})
    assert "the reconstructor Still answers with a dict; it must be a visemix.prepare.fit.Fit" in refused(
        video(tmp_path / "a.mp4"), tmp_path
    )
