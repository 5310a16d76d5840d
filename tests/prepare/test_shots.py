import numpy as np
import pytest
from prepare_maker import meta, run, scene, video
from tiny_videos import beeps

from visemix.data import ClipFolder
from visemix.prepare.shots import find_cuts, thumbnail
from visemix.prepare.track import Track


def person(seed, size=96):
    """A face of coarse colours of its own, as large as half of the picture, before a wall."""
    rng = np.random.default_rng(seed)
    return rng.integers(20, 235, (6, 6, 3)).repeat(size // 12, 0).repeat(size // 12, 1)


def filmed(shots, move=1.0, wall=90, gain=None):
    """Pictures of persons, each for so many frames, who sway; and their track."""
    rng = np.random.default_rng(0)
    pictures, points = [], []
    for seed, frames in shots:
        for _ in range(frames):
            k = len(pictures)
            x, y = 24 + round(6 * move * np.sin(k / 4)), 20 + round(3 * move * np.cos(k / 3))
            picture = np.full((96, 96, 3), wall, float)
            picture[y : y + 48, x : x + 48] = person(seed)
            picture = picture * (1 if gain is None else gain(k)) + rng.normal(0, 3, picture.shape)
            pictures.append(picture.clip(0, 255).astype(np.uint8))
            points.append(np.stack(np.meshgrid([x, x + 48], [y, y + 48]), -1).reshape(4, 2).repeat(17, 0))
    present = np.ones(len(pictures), bool)
    return pictures, Track(0, present, np.array(points, np.float32))


def cuts(pictures, track):
    return find_cuts([thumbnail(picture) for picture in pictures], track, *pictures[0].shape[:2])


def test_a_cut_to_another_person_in_the_same_place_is_found_to_the_frame():
    assert cuts(*filmed([(1, 40), (2, 30), (1, 25)])) == [40, 70]


@pytest.mark.parametrize("move", [0.0, 1.0, 2.5])
def test_one_person_who_moves_is_one_shot(move):
    assert cuts(*filmed([(1, 80)], move)) == []


def test_neither_a_flash_nor_a_lamp_nor_a_dim_room_is_a_cut():
    for gain in (lambda k: 0.5 + (k == 30), lambda k: 1.0 if k < 40 else 0.5, lambda k: 1 - 0.8 * k / 80):
        assert cuts(*filmed([(1, 80)], gain=gain)) == []


def test_a_picture_that_flickers_for_one_frame_is_no_cut():
    pictures, track = filmed([(1, 60)])
    pictures[30] = filmed([(2, 60)])[0][30]
    assert cuts(pictures, track) == []


def test_a_cut_while_the_face_is_not_seen_for_a_moment_is_found_where_it_is_seen_again():
    pictures, track = filmed([(1, 40), (2, 40)])
    track.present[38:43] = False
    assert cuts(pictures, track) == [43]


def test_a_black_frame_between_two_persons_hides_no_cut():
    pictures, track = filmed([(1, 40), (2, 40)])
    pictures[40] = np.zeros_like(pictures[40])
    track.present[40] = False
    assert cuts(pictures, track) == [41]


def test_the_same_person_from_nearer_is_another_shot():
    pictures, track = filmed([(1, 60)])
    near = [np.kron(picture[12:84:2, 12:84:2], np.ones((3, 3, 1), np.uint8))[:96, :96] for picture in pictures[30:]]
    points = np.concatenate([track.landmarks[:30], (track.landmarks[30:] - 12) * 1.5])
    assert cuts(pictures[:30] + near, Track(0, track.present, points)) == [30]


def test_of_a_video_of_two_shots_the_longer_becomes_the_clip_and_its_notes_say_where_the_other_begins(tmp_path):
    pictures = scene(frames=50)
    for k in range(50):  # below the face, which the tracker finds as it is bright, there is a body; then it is above
        body = slice(30, 45) if k >= 20 else slice(45, 60)
        pictures[k, :2, body, 40 + k : 70 + k] = 120
    path = video(tmp_path / "a.mp4", pictures, sound=beeps(50))
    run([path], tmp_path / "out")
    about = meta(tmp_path / "out", "a")
    assert (about["frames"], about["source"]["first"]) == (30, 20)
    assert about["notes"][0] == "the shot changes at 0.80 s, perhaps to somebody else; the longest shot is kept"
    assert about["notes"][1] == "the face is seen from 0.80 s to 2.00 s of 2.00 s; the clip is cut to that"
    loud = ClipFolder(tmp_path / "out/a").speech().wave.view(30, 640).square().mean(1).sqrt()
    assert (loud > 0.3).nonzero()[:, 0].tolist() == [0, 5, 10, 15, 20, 25]
