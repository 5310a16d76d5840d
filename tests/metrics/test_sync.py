"""Expected values: SyncNet's own scoring code on features from a formula, and with weights from a recipe."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import settle

from visemix.metrics import METRICS, NoScore, Suite, VideoSequence
from visemix.metrics.sync import SyncResult, crop_face, face_boxes, find_offset, run_syncnet, sixteen_bit
from visemix.nn.lipsync import SyncNet
from visemix.ops.mfcc import mfcc

CASES = {-4: (0.13264524936676025, 2.4341959953308105), 3: (0.10227260738611221, 2.4915101528167725)}
CASES[0] = (2.8284268864808837e-06, 2.599433660507202)
ZEROS_WIN = (15, 22063.501953125, 6.59375)  # untrained: the picture's embedding is far longer than the sound's


def features():
    i, j = torch.arange(80)[:, None].double(), torch.arange(8)[None].double()
    return torch.sin(0.7 * i * (1 + 0.13 * j) + j).float()


@pytest.mark.parametrize("early", CASES)
def test_offset_distance_and_confidence_are_the_published_ones(early):
    sync = find_offset(features()[10:70], features()[10 + early : 70 + early])
    distance, confidence = CASES[early]
    assert sync.offset == early
    assert sync.lse_d == pytest.approx(distance, rel=1e-4)
    assert sync.lse_c == pytest.approx(confidence, rel=1e-4)


@torch.inference_mode()
def test_the_whole_way_with_untrained_weights_has_the_published_answer():
    net = settle(SyncNet())
    r = np.random.default_rng(300)
    frames = torch.from_numpy(r.integers(0, 256, (60, 224, 224, 3)).astype(np.float32)).permute(3, 0, 1, 2)
    rows = torch.from_numpy(r.standard_normal((13, 240)).astype(np.float32) * 10)
    seen = torch.cat([net.embed_video(frames[:, start : start + 15]) for start in range(0, 55, 11)])
    audio = net.embed_audio(rows.unfold(1, 20, 4).permute(1, 0, 2).unsqueeze(1)[:55])
    sync = find_offset(seen, audio)
    offset, distance, confidence = ZEROS_WIN
    assert sync.offset == offset
    assert sync.lse_d == pytest.approx(distance, rel=1e-4)
    assert sync.lse_c == pytest.approx(confidence, abs=0.1)


def face(x, y, half):
    points = torch.zeros(68, 2)
    points[:, 0], points[:, 1] = torch.linspace(x - half, x + half, 68), torch.linspace(y - half, y + half, 68)
    return points


def test_a_jump_of_one_frame_does_not_move_the_box_and_a_gap_is_bridged():
    landmarks = torch.stack([face(100, 120, 40)] * 20)
    landmarks[7] += 30
    landmarks[12] = torch.nan
    boxes = face_boxes(landmarks)
    np.testing.assert_allclose(boxes, np.tile([100, 120 - 0.15 * 80, 0.65 * 80], (20, 1)), atol=1e-4)


def test_the_crop_keeps_the_top_of_the_box_and_is_grey_beyond_the_picture():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[..., 0] = 200  # red
    crop = crop_face(picture, np.array([150.0, 100.0, 50.0]))
    assert crop.shape == (3, 224, 224)
    assert crop[:, 100, 112].tolist() == [0, 0, 200]  # blue, green, red
    corner = crop_face(picture, np.array([10.0, 10.0, 50.0]))
    assert corner[:, 0, 0].tolist() == [110, 110, 110]
    assert corner[:, -1, -1].tolist() == [0, 0, 200]


def test_the_crop_is_as_wide_to_either_side_and_reaches_further_down_than_up():
    """Each pixel says where it is: of a box of 100 at (150, 120), columns 80 to 219 and rows 70 to 209."""
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(256), np.arange(256)[:, None]
    _, rows, columns = crop_face(picture, np.array([150.0, 120.0, 50.0]))
    assert (columns[0, 0], columns[0, -1], rows[0, 0], rows[-1, 0]) == (80, 219, 70, 209)


def take(frames, fps=25.0, seconds=None):
    points = torch.stack([face(64, 64, 20)] * frames)
    points[:, 66, 1] += torch.arange(frames) % 7
    sound = torch.randn(round(16_000 * (frames / fps if seconds is None else seconds)))
    return VideoSequence(fps, points, sound, pictures=lambda: iter([]))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (take(99), "99 frames with sound"),
        (take(200, seconds=2), "50 frames with sound"),
        (take(200, 30.0), "30 frames a"),
    ],
)
def test_clips_that_syncnet_cannot_judge_are_refused(bad, reason):
    metric = METRICS.build({"name": "lse_d", "weights": "random"})
    with pytest.raises(NoScore, match=reason):
        metric.measure(bad, bad)


def test_a_clip_without_sound_says_so():
    suite = Suite([{"name": "lse_c", "weights": "random"}])
    silent = VideoSequence(landmarks=torch.rand(120, 68, 2), pictures=lambda: iter([]))
    score = suite.finish_clip(silent, silent, {"sound": "x.mp4 has no sound track; give a file that has one"})["lse_c"]
    assert (score.status, score.reason) == ("unavailable", "x.mp4 has no sound track; give a file that has one")


def test_a_fake_is_judged_though_its_recording_has_no_sound():
    spoken = replace(take(120), memo={"sync": find_offset(features()[10:70], features()[13:73])})
    mute = replace(spoken, sound=None, memo={})
    suite = Suite([{"name": "lse_c", "weights": "random"}])
    assert "random" in suite.finish_clip(spoken, mute)["lse_c"].reason  # judged, with weights that mean nothing
    assert suite.finish_clip(mute, spoken)["lse_c"].status == "unavailable"


def test_the_curve_behind_lse_is_in_the_order_of_offsets():
    sync = find_offset(features()[10:70], features()[13:73])
    judged = VideoSequence(memo={"sync": sync})
    lags = METRICS.build({"name": "lse_d"}).lags(judged, judged)
    assert len(lags) == 31 and min(range(31), key=lags.__getitem__) - 15 == sync.offset == 3
    assert lags[15] == sync.at_zero and METRICS.build({"name": "lse_c"}).lags(judged, judged) == ()


def test_the_variant_says_that_the_crop_is_not_the_released_codes():
    assert "crop=mediapipe" in METRICS.build({"name": "lse_d"}).variant
    assert "not calibrated against S3FD" in METRICS.build({"name": "lse_d"}).variant


def test_the_sound_is_that_of_a_sixteen_bit_file_and_what_is_quieter_than_its_steps_is_silence():
    heard = torch.tensor([0.0, 0.4, 0.6, -0.6, 1.5, 2.5, -7.4]) / 32768
    assert sixteen_bit(heard).tolist() == [0.0, 0.0, 1.0, -1.0, 2.0, 2.0, -7.0]  # halves to even, as lrint does
    assert sixteen_bit(torch.tensor([1.0, -1.0, 1.2, -1.2])).tolist() == [32767.0, -32768.0, 32767.0, -32768.0]


@torch.inference_mode()
def test_syncnet_hears_the_rows_of_the_sixteen_bit_file(monkeypatch):
    """Noise of a third of a step is what a decoder leaves where the file has zeros."""
    hushed = replace(take(120), sound=torch.rand(16_000 * 5, generator=torch.Generator().manual_seed(0)) / 100_000)
    digital_silence = mfcc(np.zeros(16_000 * 5))
    heard = []

    class Ears(SyncNet):
        def embed_audio(self, windows):
            heard.append(windows)
            return torch.zeros(len(windows), 4)

    monkeypatch.setattr("visemix.metrics.sync._embed_video", lambda net, crops: torch.zeros(crops.shape[1] - 5, 4))
    monkeypatch.setattr("visemix.metrics.sync.crop_face", lambda picture, box: torch.zeros(3, 8, 8))
    run_syncnet(Ears(), replace(hushed, pictures=lambda: iter([None] * 120)))
    rows = torch.cat(heard)[:, 0]  # windows × 13 × 20
    assert rows.shape[1:] == (13, 20)
    np.testing.assert_allclose(rows, np.broadcast_to(digital_silence[:20].T, rows.shape), rtol=1e-6)


def test_the_best_at_the_edge_leaves_the_offset_unknown_and_nothing_else():
    distances = torch.full((31,), 12.0)
    distances[0], distances[15] = 8.0, 11.0
    edge = VideoSequence(memo={"sync": SyncResult(15, distances)})
    for name, number in (("lse_d", 8.0), ("lse_c", 4.0), ("lse_d_at_0", 11.0)):
        assert METRICS.build({"name": name}).measure(edge, edge).tolist() == [[number]]
    for name in ("av_offset", "av_offset_abs"):
        with pytest.raises(NoScore, match=r"at the edge \(15 frames\): no offset to trust"):
            METRICS.build({"name": name}).measure(edge, edge)
