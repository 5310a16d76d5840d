import errno
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from clip_maker import make
from tiny_videos import beeps, grey, numbers

from visemix.data import ClipFolder, clipfiles, find_clips, speaker_of, write_clip
from visemix.data.clipwriter import atomic_folder
from visemix.face import FaceData, FaceModel
from visemix.types import SAMPLES_PER_FRAME, Space, VisemixError


@pytest.fixture
def folder(tmp_path, face):
    return make(tmp_path / "anna_003", face)


def assert_heard(speech, wave):
    torch.testing.assert_close(speech.wave[0], wave.clamp(-1, 1), rtol=0, atol=1.01 / 32768)  # 16 bits


def test_a_window_agrees_in_pictures_sound_and_motion(folder):
    clip = folder.clip(range(4, 9), reference=15)
    assert numbers(clip.video.frames[0] * 255) == [4, 5, 6, 7, 8]
    assert clip.motion.space is Space.EXPRESSION and clip.motion.values[0, :, 0].tolist() == [4, 5, 6, 7, 8]
    assert clip.subject.pose[0, :, 2].tolist() == clip.subject.light[0, :, 26].tolist() == [4, 5, 6, 7, 8]
    assert numbers(clip.subject.reference * 255) == [15]
    assert_heard(clip.speech, beeps(20)[4 * 640 : 9 * 640])


def test_everything_is_a_batch_of_one(folder, face):
    clip = folder.clip(range(3), reference=0)
    subject = clip.subject
    assert subject.speaker == ("anna",)
    assert subject.identity.shape == (1, face.identity.shape[-1])
    assert subject.camera.shape == (1, 3) and subject.albedo.shape == (1, len(face.mean), 3)
    assert subject.footage.shape == (1, 3, 3, 32, 32) and subject.reference.shape == (1, 3, 32, 32)
    assert clip.speech.frames == clip.subject.frames == 3


def test_frames_of_the_subject_come_in_any_order(folder):
    order = [7, 3, 3, 19, 0]
    subject = folder.subject(order)
    assert numbers(subject.footage[0] * 255) == order
    assert subject.expression[0, :, 0].tolist() == subject.light[0, :, 0].tolist() == order


def test_without_footage_no_picture_is_decoded(folder):
    (folder.path / "frames.mp4").write_bytes(b"")
    clip = folder.clip(range(5), footage=False)
    assert clip.video is None and clip.subject.footage is None and clip.subject.reference is None


def test_the_sound_can_be_had_whole_or_in_part(folder):
    assert_heard(folder.speech(), beeps(20))
    assert_heard(folder.speech(18), beeps(20)[18 * 640 :])
    assert folder.speech(2, 7).frames == 7


def test_a_used_clip_travels_to_another_process(folder):
    folder.clip(range(5))
    again = pickle.loads(pickle.dumps(folder))
    assert numbers(again.clip(range(5, 8)).video.frames[0] * 255) == [5, 6, 7]


@pytest.mark.parametrize("frames", [[20], [-1, 0], []])
def test_frames_that_are_not_there_are_refused(folder, frames):
    with pytest.raises(VisemixError, match="has frames 0 to 19"):
        folder.subject(frames)


def test_a_window_with_a_jump_is_refused(folder):
    with pytest.raises(VisemixError, match="consecutive"):
        folder.clip([1, 2, 4])


def test_what_it_is_stands_in_plain_yaml(folder, face):
    meta = yaml.safe_load((folder.path / "meta.yaml").read_text())
    assert (meta["frames"], meta["fps"], meta["size"]) == (20, 25, 32)
    assert (meta["speaker"], meta["audio"], meta["name"]) == ("anna", "speech", "anna_003")
    assert meta["face"] == {
        "name": "toy",
        "identity": face.identity.shape[-1],
        "expression": face.expression.shape[-1],
        "vertices": len(face.mean),
    }


def test_a_speaker_is_the_name_without_its_trailing_number():
    names = ("WDA_KatieHill_000", "RD_Radio31_000", "may_5s", "anna")
    assert [speaker_of(name) for name in names] == ["WDA_KatieHill", "RD_Radio31", "may_5s", "anna"]


def other_face(face):
    """The same head with one expression less, under the name of another model."""
    names = ("mean", "identity", "albedo", "texture", "triangles", "skin", "hole", "lower")
    data = FaceData(
        name="other",
        expression=face.expression[..., 1:],
        expression_range=face.expression_range[1:],
        landmarks=face.landmark_ids,
        **{name: getattr(face, name) for name in names},
    )
    return FaceModel(data)


def test_a_clip_of_another_face_model_is_refused_with_the_way_out(folder, face):
    with pytest.raises(
        VisemixError, match=r"anna_003 was fitted with the face model 'toy' .* not 'other' .* --face other"
    ):
        ClipFolder(folder.path, other_face(face))


def test_a_clip_that_lacks_a_file_is_refused(folder):
    (folder.path / "clip.safetensors").unlink()
    with pytest.raises(VisemixError, match=r"anna_003 lacks clip\.safetensors"):
        ClipFolder(folder.path)


def test_damaged_tensors_are_named(folder):
    file = folder.path / "clip.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(VisemixError, match=r"clip\.safetensors is damaged"):
        folder.subject([0])


def test_damaged_sound_is_named(folder):
    file = folder.path / "sound.flac"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(VisemixError, match=r"sound\.flac"):
        folder.speech()


def test_light_that_never_changes_is_kept_once_and_read_for_every_frame(tmp_path, folder, face):
    kinds = ("wave", "identity", "expression", "pose", "camera", "albedo", "landmarks", "error")
    steady = {name: folder.tensor(name) for name in kinds} | {"light": torch.full((20, 27), 0.25)}
    clip = write_clip(tmp_path / "steady", steady, grey(20, 32), {}, face=face)
    assert clip.subject([7, 3], footage=False).light.tolist() == [[[0.25] * 27] * 2]
    assert clip.tensor("light").shape == (20, 27)


def test_landmarks_come_back_to_a_hundredth_of_a_pixel(tmp_path, folder, face):
    kinds = ("wave", "identity", "expression", "pose", "camera", "albedo", "light", "error")
    points = torch.rand(20, 68, 2, generator=torch.Generator().manual_seed(0)) * 40 - 4
    tensors = {name: folder.tensor(name) for name in kinds} | {"landmarks": points}
    clip = write_clip(tmp_path / "there", tensors, grey(20, 32), {}, face=face)
    torch.testing.assert_close(clip.tensor("landmarks"), points, rtol=0, atol=0.01)


def test_a_torso_that_nobody_followed_stands_still_and_a_followed_one_comes_back(tmp_path, folder, face):
    assert torch.equal(folder.subject([3, 0]).torso, torch.zeros(1, 2, 4))
    kinds = ("wave", "identity", "expression", "pose", "camera", "albedo", "light", "landmarks", "error")
    motion = torch.arange(80).view(20, 4) / 100
    tensors = {name: folder.tensor(name) for name in kinds} | {"torso": motion}
    clip = write_clip(tmp_path / "followed", tensors, grey(20, 32), {}, face=face)
    assert torch.equal(clip.subject([3, 0]).torso[0], motion[[3, 0]])
    assert torch.equal(clip.subject([5, 7, 9]).at(torch.tensor([2, 0])).torso[0], motion[[9, 5]])
    with pytest.raises(VisemixError, match=r"'torso' must be finite numbers of shape \(20, 4\)"):
        write_clip(tmp_path / "short", tensors | {"torso": motion[1:]}, grey(20, 32), {}, face=face)


@pytest.mark.parametrize("text", ["frames: [", "just words", "frames: 3\n", "\x00"])
def test_a_damaged_meta_file_is_named(folder, text):
    (folder.path / "meta.yaml").write_text(text)
    with pytest.raises(VisemixError, match=r"anna_003/meta\.yaml is"):
        ClipFolder(folder.path)


def test_a_folder_without_clips_says_how_to_make_some(tmp_path):
    with pytest.raises(VisemixError, match=r"no prepared clips in .* visemix prepare"):
        find_clips(tmp_path)
    with pytest.raises(VisemixError, match="is no prepared clip"):
        ClipFolder(tmp_path)


def test_clips_are_found_by_name_and_unfinished_ones_are_not(tmp_path, face):
    for name in ("b", "a", ".a.123.part"):
        make(tmp_path / name, face, frames=2)
    assert [path.name for path in find_clips(tmp_path)] == ["a", "b"]
    assert find_clips(tmp_path / "b") == [tmp_path / "b"]


def test_a_clip_that_exists_is_kept_unless_told(folder, face):
    before = folder.speech().wave
    with pytest.raises(VisemixError, match="anna_003 exists and is kept"):
        make(folder.path, face, frames=5)
    assert torch.equal(ClipFolder(folder.path).speech().wave, before)


def test_overwriting_replaces_the_whole_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("old")
    with atomic_folder(tmp_path / "a", overwrite=True) as part:
        (part / "new").write_text("new")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_error_midway_leaves_the_old_clip_and_no_half_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a", overwrite=True) as part:
        (part / "new").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "a/old").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_leaves_no_half_clip(tmp_path, face, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)  # the tensors, after the pictures
    with pytest.raises(VisemixError, match=r"anna could not be written \(No space left on device\)"):
        make(tmp_path / "anna", face)
    assert list(tmp_path.iterdir()) == []


def test_tensors_of_a_wrong_shape_are_never_written(tmp_path, face):
    with pytest.raises(VisemixError, match=r"'wave' must be finite numbers of shape \(1280,\), not nothing"):
        write_clip(tmp_path / "a", {}, grey(2), {}, face=face)
    assert list(tmp_path.iterdir()) == []


def test_only_this_format_is_read(folder, monkeypatch):
    for today, reason in ((3, "older version's format; bring it to today's with visemix migrate"), (1, "has format 2")):
        monkeypatch.setattr(clipfiles, "FORMAT", today)
        with pytest.raises(VisemixError, match=reason):
            ClipFolder(folder.path)


def loud(wave):
    """Which frames are loud: in the clip those whose number 5 divides."""
    return (wave.unflatten(-1, (-1, SAMPLES_PER_FRAME)).abs().amax(-1)[0] > 0.01).nonzero().flatten().tolist()


def test_sound_that_is_early_is_moved_to_the_lips_it_belongs_to(tmp_path, face):
    clip = make(tmp_path / "anna", face, lip_sync={"follows": True, "lag": 2})
    assert loud(clip.clip(range(4, 12), footage=False).speech.wave) == [1, 6]  # frames 5 and 10, as recorded
    clip.aligned = True
    assert loud(clip.clip(range(4, 12), footage=False).speech.wave) == [3]  # of frame 5; that of 10 belongs to 12
    assert loud(clip.speech(4, 8).wave) == [1, 6]


def test_beyond_its_ends_a_clip_is_silent(tmp_path, face):
    clip = make(tmp_path / "anna", face)
    speech = clip.speech(0, 20, lag=-3)
    assert speech.frames == 20 and loud(speech.wave) == [2, 7, 12]
    assert loud(clip.speech(0, 20, lag=3).wave) == [3, 8, 13, 18]


def test_a_window_brings_the_sound_around_it(tmp_path, face):
    clip = make(tmp_path / "anna", face)
    clip.around = (6, 3)
    speech = clip.clip(range(4, 8), footage=False).speech
    assert speech.frames == 4 and loud(speech.wave) == [1]
    assert speech.before.shape[1] == 6 * SAMPLES_PER_FRAME and loud(speech.before) == [2]  # two frames of silence, 0 …
    assert speech.after.shape[1] == 3 * SAMPLES_PER_FRAME and loud(speech.after) == [2]
    whole = clip.speech()
    torch.testing.assert_close(whole.part(8, 12, 6, 3).before, clip.speech(8, 4, around=(6, 3)).before)
