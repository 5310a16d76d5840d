import copy

import pytest
import torch

from visemix.face import FACE
from visemix.ops.camera import project, square_camera
from visemix.ops.rotation import pose_points
from visemix.prepare.contours import LIDS, MIRROR, contour_points
from visemix.prepare.evidence import LandmarkSigmas, landmark_observations
from visemix.prepare.fit import landmarks_of
from visemix.prepare.geometry import Geometry, fit_geometry

SIZE, FRAMES = 256, 24
FIRST = slice(36, 42)  # the eye in the picture's left


@pytest.fixture(scope="module")
def ict(assets):
    return FACE.build({"name": "ict", "path": str(assets / "face/ict_facekit.npz")})


def tracked(face, geometry, size=SIZE):
    """The tracker's mesh as it would be of such a face, where it is known; 0 elsewhere."""
    found = contour_points(face)
    shape = face.mean + face.identity @ geometry.identity
    moved = shape[found.vertices] + torch.einsum("pce,te->tpc", face.expression[found.vertices], geometry.expression)
    mesh = torch.zeros(len(moved), 478, 2)
    camera = square_camera(size).expand(len(moved), 3)
    mesh[:, found.tracked] = project(pose_points(moved, geometry.pose), camera)[..., :2]
    return mesh


def gap(landmarks):
    """How far the lids of the first eye are apart, in its widths."""
    eye = landmarks[:, FIRST]
    apart = (eye[:, 1] - eye[:, 5]).norm(dim=-1) + (eye[:, 2] - eye[:, 4]).norm(dim=-1)
    return apart / 2 / (eye[:, 0] - eye[:, 3]).norm(dim=-1)


def performance(face, **waves):
    expression = torch.zeros(FRAMES, face.expression.shape[-1])
    for name, wave in waves.items():
        expression[:, face.expression_names.index(name)] = wave
    pose = torch.zeros(FRAMES, 6)
    pose[:, 1] = 0.2 * torch.sin(torch.arange(FRAMES) / 5)
    identity = torch.randn(face.identity.shape[-1], generator=torch.Generator().manual_seed(1)) * 0.5
    return Geometry(identity, expression, pose)


def everyone():
    return torch.ones(FRAMES, dtype=torch.bool)


def test_the_points_between_the_68_lie_between_them_on_the_rims(face):
    found = contour_points(face)
    assert len(found.tracked) == len(found.tracked.unique()) == 108
    assert torch.equal(found.vertices[:68], face.landmark_ids)
    along = [float(face.mean[found.vertices[found[k]], 0]) for k in (33, 246, 161, 160, 159, 158, 157, 173, 133)]
    assert along == sorted(along)
    for upper, lower in LIDS:
        for side in (upper, lower), (MIRROR[upper], MIRROR[lower]):
            above, below = (face.mean[found.vertices[found[k]]] for k in side)
            assert above[1] > below[1] and abs(above[0] - below[0]) < 0.03
    for k, mirrored in MIRROR.items():
        a, b = (face.mean[found.vertices[found[each]]] for each in (k, mirrored))
        torch.testing.assert_close(a * torch.tensor([-1.0, 1, 1]), b, atol=0.04, rtol=0)  # a step of its mesh


def test_without_a_mesh_that_is_known_the_68_points_are_all_the_evidence(face):
    landmarks = landmarks_of(face, performance(face), SIZE)
    for mesh in (None, torch.zeros(FRAMES, 98, 2)):  # none, or of a tracker that nobody knows
        seen = landmark_observations(face, landmarks, mesh, SIZE, LandmarkSigmas())
        assert torch.equal(seen.mix, torch.eye(68, dtype=torch.double))
        assert torch.equal(seen.vertices, face.landmark_ids)


def test_a_mesh_without_a_way_from_lid_to_lid_gives_the_68_alone(face):
    shape = performance(face)
    landmarks, mesh = landmarks_of(face, shape, SIZE), tracked(face, shape)
    torn = copy.copy(face)
    torn._buffers = face._buffers | {"triangles": face.triangles[:1]}
    assert len(contour_points(torn).tracked) == 68
    seen = landmark_observations(torn, landmarks, mesh, SIZE, LandmarkSigmas())
    assert seen.target.shape == (FRAMES, 68, 2) and len(seen.mix) == 68 + 4  # two pairs of either eye's lids


def test_closed_lids_close(face):
    shut = torch.arange(FRAMES) // 4 % 2
    true = performance(face, blink_left=shut, blink_right=shut)
    landmarks = landmarks_of(face, true, SIZE)
    mesh = tracked(face, true)
    wrong = 2.5 * torch.sin(torch.arange(68.0)[:, None] * torch.tensor([1.0, 2.0]))  # a face the model does not know
    shifted, off = landmarks + wrong, torch.zeros(1, 478, 2)
    found = contour_points(face)
    for upper, lower in LIDS:  # in both lids alike
        off[:, [upper, lower, MIRROR[upper], MIRROR[lower]]] = 2.5
    off[:, found.tracked[:68]] = wrong
    for a, b in ((37, 41), (38, 40), (43, 47), (44, 46)):
        shifted[:, b] = landmarks[:, b] + wrong[a]
        off[:, found.tracked[b]] = wrong[a]
    closed = (gap(landmarks) < 0.1).nonzero()[:, 0]
    assert len(closed) >= 8
    plain = fit_geometry(face, shifted, everyone(), SIZE)
    fitted = fit_geometry(face, shifted, everyone(), SIZE, points=mesh + off)
    missed = [(gap(landmarks_of(face, each, SIZE)) - gap(shifted))[closed].abs().mean() for each in (plain, fitted)]
    assert missed[1] < 0.02 and missed[1] < 0.6 * missed[0]


def test_an_iris_counts_the_less_the_more_an_eye_is_closed(ict):
    shut = torch.linspace(0, 1, FRAMES)
    true = performance(ict, eyeBlink_R=shut, eyeBlink_L=shut)
    seen = landmark_observations(ict, landmarks_of(ict, true, SIZE), tracked(ict, true), SIZE, LandmarkSigmas())
    trust = seen.metric[:, -2:, 0, 0]  # of both irises
    assert (trust[:2] == 1 / (LandmarkSigmas().iris * SIZE / 512)).all()
    assert (trust.diff(dim=0) <= 0).all() and (trust[-1] == 0).all()


def test_the_eyeballs_turn_with_the_gaze_and_the_middle_stays_where_it_is(ict):
    names = ict.expression_names
    left, right = ict.mean[ict.pupil_ids]
    assert left[0] < -0.25 and right[0] > 0.25 and left[2] > 0.15
    for way, axis, sign in (("Out_R", 0, -1), ("In_R", 0, 1), ("Up_R", 1, 1), ("Down_R", 1, -1), ("Out_L", 0, 1)):
        moved = ict.expression[..., names.index(f"eyeLook{way}")]
        mine, other = ict.pupil_ids if way.endswith("R") else ict.pupil_ids.flip(0)
        assert 0.06 < sign * moved[mine, axis] < 0.09  # decimetres: an eyeball's radius times sin 30°
        assert (moved[other] == 0).all()
        balls = moved[21451:]
        turning = balls.norm(dim=-1) > 0
        assert balls[turning].mean(0).norm() < 0.03


def test_a_gaze_is_found_from_the_irises(ict):
    out = 0.35 + 0.35 * torch.sin(torch.arange(FRAMES) / 4)
    true = performance(ict, eyeLookOut_R=out, eyeLookIn_L=out)
    landmarks = landmarks_of(ict, true, SIZE)
    fitted = fit_geometry(ict, landmarks, everyone(), SIZE, points=tracked(ict, true))
    pair = [ict.expression_names.index(name) for name in ("eyeLookOut_R", "eyeLookIn_R")]
    gaze = fitted.expression[:, pair[0]] - fitted.expression[:, pair[1]]
    assert (gaze - out).abs().mean() < 0.12
    blind = fit_geometry(ict, landmarks, everyone(), SIZE)
    unseen = blind.expression[:, pair[0]] - blind.expression[:, pair[1]]
    assert (unseen - out).abs().mean() > 0.2


def test_closed_eyes_of_a_real_clip_are_closed_in_its_fit(assets, ict):
    pytest.importorskip("mediapipe")
    from visemix.data.media import VideoReader
    from visemix.prepare.track import TRACKER

    frames = VideoReader(assets / "clips/may_5s.mp4").between(0, FRAMES)
    (track, *_) = TRACKER.build({"name": "mediapipe"})(frame.permute(1, 2, 0).numpy() for frame in frames)
    landmarks, mesh = torch.from_numpy(track.landmarks), torch.from_numpy(track.points)
    fitted = landmarks_of(ict, fit_geometry(ict, landmarks, everyone(), 492, points=mesh), 492)
    closed = gap(landmarks) < 0.35 * gap(landmarks).median()
    assert closed.sum() >= 3
    assert abs(gap(fitted)[closed].mean() - gap(landmarks)[closed].mean()) < 0.02
