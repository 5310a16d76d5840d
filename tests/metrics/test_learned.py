import numpy as np
import pytest
import torch
from torch.nn import functional as F

from visemix.metrics import METRICS, FrameBatch, NoScore
from visemix.metrics.learned import TEMPLATE, align, cosine_similarity, inception_input
from visemix.nn.arcface import ArcFace
from visemix.ops.frechet import frechet

IRESNET = {"r18": 24_025_600, "r100": 65_156_160}  # parameters, as insightface's


def test_fid_is_the_distance_of_all_frames_together_not_a_mean_of_clips():
    metric = METRICS.build({"name": "fid"})
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 4096, generator=g)
    metric.add(rows[:5])
    metric.add(rows[5:])
    assert metric.pooled().item() == pytest.approx(frechet(rows[:, :2048], rows[:, 2048:]).item(), rel=1e-9)
    assert metric.scored == 12
    with pytest.raises(NoScore, match="two frames or more"):
        metric.score(rows[:1].double())


def test_fids_pictures_are_prepared_as_pytorch_fid_does():
    frames = torch.randint(0, 256, (1, 3, 64, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    expected = F.interpolate(frames / 255, (299, 299), mode="bilinear", align_corners=False) * 2 - 1
    torch.testing.assert_close(inception_input(frames), expected)


def test_an_aligned_face_has_its_eyes_where_arcface_wants_them():
    yy, xx = torch.meshgrid(torch.arange(200) + 0.5, torch.arange(240) + 0.5, indexing="ij")
    frame = torch.stack([xx, yy, torch.zeros_like(xx)]).round().to(torch.uint8)  # a picture that says where it is
    turn, scale, move = 0.2, 1.1, np.array([60.0, 40.0])
    matrix = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    five = TEMPLATE @ matrix + move
    points = torch.zeros(68, 2)
    points[36:42], points[42:48] = torch.tensor(five[0]).float(), torch.tensor(five[1]).float()
    points[30], points[48], points[54] = (torch.tensor(p).float() for p in five[2:])
    face = (align(frame, points) + 1) * 127.5
    for (x, y), there in zip(TEMPLATE, five, strict=True):
        found = face[:2, round(y - 0.5), round(x - 0.5)].double().numpy()
        off = np.array([round(x - 0.5) + 0.5, round(y - 0.5) + 0.5]) - (x, y)
        assert found == pytest.approx(there + off @ matrix, abs=1.3)


def test_a_face_beside_itself_is_the_same_person_and_a_lost_one_is_not_scored():
    metric = METRICS.build({"name": "csim", "depth": "r18", "weights": "random"})
    g = torch.Generator().manual_seed(0)
    points = 20 + 80 * torch.rand(1, 68, 2, generator=g).expand(2, 68, 2).clone()
    points[1] = torch.nan
    batch = FrameBatch(torch.randint(0, 256, (2, 3, 128, 128), generator=g, dtype=torch.uint8), points)
    metric.update(batch, batch)
    assert metric.scored == 1
    assert metric.compute().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("depth", list(IRESNET))
def test_arcfaces_weights_have_the_released_number(depth):
    with torch.device("meta"):
        net = ArcFace(depth)
    assert sum(p.numel() for p in net.parameters()) == IRESNET[depth]


@pytest.mark.parametrize(("frames", "few"), [(40, True), (2048, False)])
def test_fid_says_of_how_many_frames_it_is_and_how_far_apart_the_real_halves_are(monkeypatch, frames, few):
    monkeypatch.setattr("visemix.metrics.learned.FEATURES", 8)
    rows = torch.randn(frames, 16, generator=torch.Generator().manual_seed(0))
    metric = METRICS.build({"name": "fid"})
    metric.add(rows[:30])
    metric.add(rows[30:])
    said = metric.caution()
    halves = frechet(rows[: frames // 2, 8:], rows[frames // 2 :, 8:])
    assert said.startswith(f"of {frames} frames; ") and f"the real ones are {halves:.1f} apart" in said
    assert ("below 2048 frames" in said) is few
    assert METRICS.build({"name": "fid"}).caution() is None


def test_likeness_does_not_depend_on_the_length_of_embeddings():
    one = torch.randn(3, 512, generator=torch.Generator().manual_seed(0))
    assert cosine_similarity(one, 7 * one).tolist() == pytest.approx([1.0] * 3, abs=1e-6)
    assert cosine_similarity(one[:1], -one[:1]).item() == pytest.approx(-1.0, abs=1e-6)
