import sys

import numpy as np
import pytest

from visemix.data.media import VideoReader
from visemix.evaluation.pair import TRACKING
from visemix.prepare import detect
from visemix.prepare.detect import suppress_duplicates
from visemix.prepare.track import TRACKER, TrackAssociation
from visemix.types import VisemixError

SHAPE = np.random.default_rng(0).random((478, 2)).astype(np.float32)  # a face of about one pixel


def face_at(x, y, size=100.0):
    return SHAPE * size + np.array([x, y], np.float32)


def tracks(*frames, bridge=10):
    threads = TrackAssociation(bridge)
    for faces in frames:
        threads.add(list(faces))
    return threads.tracks()


def test_a_face_away_for_ten_frames_stays_one_track_and_its_points_lie_between():
    (track,) = tracks([face_at(0, 0)], *[[]] * 10, [face_at(22, 11)], [face_at(24, 12)])
    assert (track.start, track.stop) == (0, 13)
    assert track.present.tolist() == [True] + [False] * 10 + [True, True]
    middle = track.points.mean(1) - track.points[0].mean(0)
    np.testing.assert_allclose(middle[:12], np.arange(12)[:, None] * [2.0, 1.0], atol=1e-3)


def test_a_face_away_for_longer_is_another_track():
    first, second = tracks([face_at(0, 0)], *[[]] * 11, [face_at(0, 0)])
    assert (first.start, first.stop, second.start, second.stop) == (0, 1, 12, 13)


def test_two_faces_are_followed_whatever_the_order_they_come_in():
    left, right = [face_at(10 * k, 0) for k in range(5)], [face_at(300 - 10 * k, 0, 60) for k in range(5)]
    first, second = tracks(*[(a, b) if k % 2 else (b, a) for k, (a, b) in enumerate(zip(left, right, strict=True))])
    by_side = sorted((first, second), key=lambda track: track.points[0].mean())
    np.testing.assert_allclose(by_side[0].points, left)
    np.testing.assert_allclose(by_side[1].points, right)


def test_the_68_points_are_the_listed_ones_of_the_mesh():
    (track,) = tracks([face_at(0, 0)])
    np.testing.assert_array_equal(
        track.landmarks[0, [0, 8, 30, 36, 45, 62, 66]], SHAPE[[127, 152, 4, 33, 263, 13, 14]] * 100
    )


def test_area_and_weight_count_seen_frames_only():
    corners = np.zeros((478, 2), np.float32)
    corners[127], corners[356] = (0, 0), (10, 20)  # two points of the 68 span the box
    (track,) = tracks([corners], [], [corners])
    assert track.area == pytest.approx(200)
    assert track.weight == pytest.approx(400)


@pytest.fixture(scope="module")
def katie(assets):
    pytest.importorskip("mediapipe")
    frames = VideoReader(assets / "clips/WDA_KatieHill_000.mp4").between(0, 12)
    return [frame.permute(1, 2, 0).numpy() for frame in frames]


def test_a_face_is_found_in_every_frame_of_a_real_clip(katie):
    (track,) = TRACKER.build({"name": "mediapipe"})(iter(katie))
    assert track.present.all()
    assert len(track.present) == 12
    assert track.points.shape == (12, 478, 2)
    eyes = track.landmarks[:, 36:48].reshape(12, 2, 6, 2).mean(2)
    np.testing.assert_allclose(eyes[0], [[200, 245], [308, 237]], atol=12)  # read off the picture by eye


def test_one_face_that_the_mesh_reports_twice_is_one_face(katie, monkeypatch):
    once = detect._landmarks
    monkeypatch.setattr(detect, "_landmarks", lambda *args: [face + k for face in once(*args) for k in (0, 9, -9)])
    (found,) = TRACKER.build({"name": "mediapipe"})(katie[:6])
    assert found.present.all() and len(found.present) == 6


def test_two_faces_side_by_side_are_two():
    left, right = face_at(0, 0), face_at(60, 0)
    assert len(suppress_duplicates([left, right, left + 3])) == 2


@pytest.mark.parametrize("slid", [(0, 170), (150, 60)])
def test_landmarks_that_slid_to_a_neck_are_looked_for_anew_where_the_face_is(katie, monkeypatch, slid):
    (true,) = TRACKER.build({"name": "mediapipe"})(katie[:4])
    once, wrong = detect._landmarks, []

    def slides(graph, picture):
        wrong.append(graph)
        follows = graph is wrong[0]  # not the one that looks at the window around a detected face
        return [face + np.array(slid, np.float32) * follows for face in once(graph, picture)]

    monkeypatch.setattr(detect, "_landmarks", slides)
    (found,) = TRACKER.build({"name": "mediapipe", "shortest": 1})(katie[:4])
    assert found.present.all() and len(found.present) == 4
    assert np.abs(found.landmarks - true.landmarks).mean() < 3


def seen_at(x, y, size=100.0):
    face = face_at(x, y, size)
    marks = np.stack([face[ids].mean(0) for ids in detect.MARKS])
    return detect.Detection((x + size / 2, y + size / 2), size, marks)


def test_a_face_is_believed_unless_another_is_seen_beside_it_that_has_no_landmarks():
    face, neck, far = face_at(0, 0), face_at(0, 80), face_at(400, 0)
    assert len(detect.reject_false_detections([face, far], [])) == 2  # a profile that the detector does not know
    assert len(detect.reject_false_detections([face, far], [seen_at(5, 5)])) == 2
    assert detect.reject_false_detections([neck], [seen_at(5, 5)]) == []
    (kept,) = detect.reject_false_detections([neck, far], [seen_at(0, 0)])
    assert kept is far


def test_black_frames_are_a_gap(katie):
    black = np.zeros_like(katie[0])
    (track,) = TRACKER.build({"name": "mediapipe", "shortest": 1})([*katie[:2], black, black, *katie[4:6]])
    assert track.present.tolist() == [True, True, False, False, True, True]


def test_a_small_face_in_a_tall_picture_is_found_where_it_is(katie):
    where = TRACKER.build({"name": "mediapipe"})(katie[:3])[0].landmarks
    tall = [np.full((1920, 1080, 3), 90, np.uint8) for _ in range(3)]
    for canvas, frame in zip(tall, katie, strict=False):
        canvas[300:364, 600:664] = frame.reshape(64, 8, 64, 8, 3).mean((1, 3))  # 39 pixels from ear to ear
    small = TRACKER.build({"name": "mediapipe"})(tall)[0]
    assert small.present.all()
    assert np.abs(small.landmarks - (where / 8 + [600, 300])).mean() < 1.5


def test_static_mode_does_not_look_back(katie):
    tracker = TRACKER.build({"name": "mediapipe", "mode": "static", "shortest": 1})
    alone = tracker(katie[5:6])[0].landmarks[0]
    np.testing.assert_array_equal(tracker(katie[3:6])[0].landmarks[2], alone)


def test_nobody_is_an_empty_list_and_the_library_keeps_quiet(katie, capfd):
    assert TRACKER.build({"name": "mediapipe"})([np.zeros((80, 60, 3), np.uint8)] * 2) == []
    TRACKER.build({"name": "mediapipe"})(katie[:2])
    assert capfd.readouterr().err == ""


def test_pictures_that_are_not_uint8_rgb_are_refused(katie):
    with pytest.raises(VisemixError, match=r"RGB uint8 pictures \(H, W, 3\), not float32 \(8, 8, 3\)"):
        TRACKER.build({"name": "mediapipe"})(iter([np.zeros((8, 8, 3), np.float32)]))


def test_a_missing_mediapipe_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_mesh", None)
    with pytest.raises(VisemixError, match=r"pip install 'visemix\[prepare\]'"):
        TRACKER.build({"name": "mediapipe"})([])


def test_for_scores_a_face_that_comes_back_is_the_same_one_however_late():
    (track,) = tracks([face_at(0, 0)], *[[]] * 300, [face_at(2, 1)], bridge=TRACKING["bridge"])
    assert track.present.sum() == 2 and len(track.present) == 302
