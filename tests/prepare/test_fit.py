import math

import pytest
import torch

from visemix.data.media import VideoReader
from visemix.face import FACE, draw
from visemix.face.layout import INNER_MOUTH, NO_JAW
from visemix.ops.camera import square_camera
from visemix.prepare.appearance import fill_unseen, fit_appearance
from visemix.prepare.evidence import landmark_observations
from visemix.prepare.fit import RECONSTRUCT, FromLandmarks, TrackedFace, correlation, landmarks_of, opening
from visemix.prepare.geometry import Geometry, LandmarkSigmas, farthest_points, fit_geometry
from visemix.prepare.problem import Problem
from visemix.prepare.track import TRACKER
from visemix.types import Subject, VisemixError

SIZE, FRAMES = 256, 30


def talking(face, seed=0):
    """A head that nods and turns while its jaw and lips move, within the bounds."""
    g = torch.Generator().manual_seed(seed)
    seconds = torch.arange(FRAMES) / 25
    waves = 0.5 + 0.5 * torch.sin(
        2 * math.pi * (seconds[:, None] * torch.linspace(0.5, 2.5, 24) + torch.rand(24, generator=g))
    )
    low, high = face.expression_range.T
    expression = low + (high - low) * 0.5 * waves
    pose = torch.zeros(FRAMES, 6)
    pose[:, 0] = 0.1 * torch.sin(3 * seconds)
    pose[:, 1] = 0.3 * torch.sin(2 * seconds + 1)
    pose[:, 3:] = torch.tensor([0.1, -0.1, -1.0]) + 0.05 * torch.sin(4 * seconds)[:, None]
    return Geometry(torch.randn(face.identity.shape[-1], generator=g) * 0.6, expression, pose)


def no_pictures(chosen):
    return torch.zeros(len(chosen), 3, 8, 8)


def everyone(frames=FRAMES):
    return torch.ones(frames, dtype=torch.bool)


def test_projected_landmarks_are_met_to_a_fraction_of_a_pixel(face):
    landmarks = landmarks_of(face, talking(face), SIZE)
    fitted = fit_geometry(face, landmarks, everyone(), SIZE)
    off = (landmarks_of(face, fitted, SIZE) - landmarks).norm(dim=-1)
    assert off[:, NO_JAW].mean() < 0.35
    assert off[:, INNER_MOUTH].mean() < 0.15


def test_the_last_digit_of_a_landmark_stays_the_last_digit_of_the_fit(face):
    landmarks = landmarks_of(face, talking(face), SIZE).double()
    landmarks += torch.randn(landmarks.shape, generator=torch.Generator().manual_seed(1))  # found ones are off
    one, other = (fit_geometry(face, each, everyone(), SIZE) for each in (landmarks, landmarks * (1 + 1e-14)))
    for name in ("identity", "expression", "pose"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=1e-6)


def test_the_same_landmarks_give_the_same_bits_wherever_they_lie_in_memory(face):
    seen = landmark_observations(face, landmarks_of(face, talking(face), SIZE), None, SIZE, LandmarkSigmas())
    problem = Problem(face, seen, everyone(), SIZE, LandmarkSigmas())
    poses, held = set(), []
    for k in range(400):
        held = [*held[-7:], torch.full((97 * k % 3001,), float("nan"))]
        poses.add(problem.first_pose(torch.arange(FRAMES)).numpy().tobytes())
    assert len(poses) == 1


def test_head_turns_are_recovered(face):
    true = talking(face)
    fitted = fit_geometry(face, landmarks_of(face, true, SIZE), everyone(), SIZE)
    turned = fitted.pose[:, 1] - fitted.pose[:, 1].mean()
    torch.testing.assert_close(turned, true.pose[:, 1] - true.pose[:, 1].mean(), atol=0.05, rtol=0)


def test_impossible_landmarks_do_not_break_the_bounds(face):
    landmarks = landmarks_of(face, talking(face), SIZE)
    landmarks[:, INNER_MOUTH, 1] += torch.linspace(-60, 60, 8)
    landmarks[:, 36:48, 0] = landmarks[:, 36:48, 0] * 2 - SIZE / 2
    fitted = fit_geometry(face, landmarks, everyone(), SIZE, LandmarkSigmas(identity=10.0))
    low, high = face.expression_range.T
    assert (fitted.expression >= low - 1e-6).all() and (fitted.expression <= high + 1e-6).all()
    assert fitted.identity.abs().max() <= 3 + 1e-6
    assert ((fitted.expression == low) | (fitted.expression == high)).any()


def test_frames_without_a_face_are_bridged(face):
    true = talking(face)
    landmarks = landmarks_of(face, true, SIZE)
    present = everyone()
    present[10:16] = False
    hidden = landmarks.clone()
    hidden[10:16] = 0
    fitted = fit_geometry(face, hidden, present, SIZE)
    assert fitted.expression.isfinite().all()
    seen = fit_geometry(face, landmarks, everyone(), SIZE)
    torch.testing.assert_close(fitted.pose[10:16, :3], seen.pose[10:16, :3], atol=0.08, rtol=0)
    jumps = fitted.pose[:, :3].diff(n=2, dim=0).abs().amax(1)
    assert jumps[8:16].max() < 0.02


def test_a_moving_jaw_is_expression_and_not_pose(face):
    jaw = face.expression_names.index("jaw_drop")
    true = Geometry(torch.zeros(face.identity.shape[-1]), torch.zeros(FRAMES, 24), torch.zeros(FRAMES, 6))
    true.expression[:, jaw] = 0.4 - 0.4 * torch.cos(torch.arange(FRAMES) / 3)
    fitted = fit_geometry(face, landmarks_of(face, true, SIZE), everyone(), SIZE)
    assert correlation(fitted.expression[:, jaw], true.expression[:, jaw]) > 0.98
    assert fitted.pose[:, :3].std(0).max() < 0.012  # radians
    assert fitted.pose[:, 3:5].std(0).max() < 0.012  # decimetres


def test_noise_of_the_detector_is_not_all_followed(face):
    landmarks = landmarks_of(face, talking(face), SIZE)
    noisy = landmarks + 0.8 * torch.randn(landmarks.shape, generator=torch.Generator().manual_seed(5))
    fitted = landmarks_of(face, fit_geometry(face, noisy, everyone(), SIZE), SIZE)

    def jumps(points):
        return points[:, NO_JAW].diff(n=2, dim=0).norm(dim=-1).mean()

    assert jumps(fitted) < 0.6 * jumps(noisy)
    assert (fitted - landmarks)[:, NO_JAW].norm(dim=-1).mean() < (noisy - landmarks)[:, NO_JAW].norm(dim=-1).mean()


def test_windows_leave_no_seam(face):
    landmarks = landmarks_of(face, talking(face), SIZE)
    whole = fit_geometry(face, landmarks, everyone(), SIZE)
    cut = fit_geometry(face, landmarks, everyone(), SIZE, window=9)
    assert (landmarks_of(face, cut, SIZE) - landmarks_of(face, whole, SIZE)).norm(dim=-1).max() < 0.7


def test_spread_takes_the_outermost_points():
    line = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    assert farthest_points(line, 3).tolist() == [0, 3, 4]


@pytest.fixture(scope="module")
def painted(face):
    """A clip drawn with a known albedo in a known light, its fit, and the pictures."""
    true = talking(face, seed=1)
    albedo = (face.albedo * torch.tensor([0.7, 0.8, 0.9]) + 0.1 * torch.sin(9 * face.mean[:, :1])).clamp(0.05, 1)
    light = torch.tensor([0.05, -0.1, 0.25, 0.1, 0, 0, 0, 0, 0]).repeat(3)
    alone = {"identity": true.identity[None], "camera": square_camera(SIZE)[None], "albedo": albedo[None]}
    timed = {"expression": true.expression[None], "pose": true.pose[None], "light": light.expand(1, FRAMES, 27)}
    pictures = (draw(face, timed["expression"], Subject(("a",), **alone, **timed), (SIZE, SIZE)).image[0] * 255).byte()
    told = []
    tracked = TrackedFace(landmarks_of(face, true, SIZE), everyone(), SIZE, lambda chosen: pictures[chosen])
    fit = FromLandmarks(face)(tracked, lambda done, steps: told.append((done, steps)))
    return fit, pictures, told


def test_the_rendered_fit_looks_like_the_clip(face, painted):
    fit, pictures, _ = painted
    alone = {name: getattr(fit, name)[None] for name in ("identity", "camera", "albedo")}
    timed = {name: getattr(fit, name)[None] for name in ("expression", "pose", "light")}
    drawn = draw(face, fit.expression[None], Subject(("a",), **alone, **timed), (SIZE, SIZE))
    inside = drawn.skin[0, :, 0] > 0
    off = (drawn.image[0] - pictures.float() / 255).abs().mean(1)[inside]
    assert off.mean() < 0.025
    plain = (alone | {"albedo": face.albedo[None]}, timed | {"light": torch.zeros(1, FRAMES, 27)})
    generic = draw(face, fit.expression[None], Subject(("a",), **plain[0], **plain[1]), (SIZE, SIZE))
    assert off.mean() < 0.3 * (generic.image[0] - pictures.float() / 255).abs().mean(1)[inside].mean()


def test_albedo_is_a_colour_everywhere_and_light_is_one_on_average(face, painted):
    fit, _, _ = painted
    assert fit.albedo.shape == face.albedo.shape
    assert (fit.albedo >= 0).all() and (fit.albedo <= 1).all()
    assert fit.light.shape == (FRAMES, 27)
    assert fit.light.diff(dim=0).abs().max() < 0.02


def test_a_fit_says_how_good_it_is_and_how_far_it_got(face, painted):
    fit, _, told = painted
    assert fit.reprojection_px < 0.5
    assert fit.inner_mouth_px < 0.3
    assert fit.mouth_opening_r > 0.99
    assert fit.error.shape == (FRAMES,)
    assert fit.error.mean().item() == pytest.approx(fit.reprojection_px, rel=1e-4)
    assert told[-1] == (100, 100)
    assert told == sorted(told)


def test_opening_is_the_mean_of_three_distances():
    points = torch.zeros(1, 68, 2)
    points[0, [65, 66, 67], 1] = torch.tensor([3.0, 6.0, 9.0])
    assert opening(points).tolist() == [6.0]


def test_what_does_not_vary_correlates_with_nothing():
    assert correlation(torch.ones(5), torch.arange(5.0)) == 0.0
    assert correlation(torch.arange(5.0), -torch.arange(5.0)) == -1.0


def test_no_face_at_all_is_refused(face):
    nobody = torch.zeros(3, dtype=torch.bool)
    with pytest.raises(VisemixError, match="no frame has a face"):
        FromLandmarks(face)(TrackedFace(torch.zeros(3, 68, 2), nobody, SIZE, no_pictures))
    with pytest.raises(VisemixError, match="smooth must be above 0, not 0"):
        RECONSTRUCT.build({"name": "landmarks", "smooth": 0.0}, face)


def before_a_wall(face, albedo, frames=8):
    """A clip in front of a red wall, whose mesh stands out over its person by a few pixels, and where the person is."""
    true = talking(face, seed=1)
    true = Geometry(true.identity, true.expression[:frames], true.pose[:frames] * torch.tensor([1.0, 0, 1, 1, 1, 1]))
    alone = {"identity": true.identity[None], "camera": square_camera(SIZE)[None], "albedo": albedo[None]}
    timed = {"expression": true.expression[None], "pose": true.pose[None], "light": torch.zeros(1, frames, 27)}
    drawn = draw(face, timed["expression"], Subject(("a",), **alone, **timed), (SIZE, SIZE))
    wall = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    pictures = ((drawn.image + (1 - drawn.coverage) * wall)[0] * 255).byte()
    larger = Geometry(true.identity, true.expression, true.pose + torch.tensor([0, 0, 0, 0.06, 0, 0.2]))
    return larger, pictures, (drawn.coverage[0, :, 0] * 2).byte()


def test_the_wall_behind_a_person_does_not_come_off_on_ears_and_neck(face):
    geometry, pictures, labels = before_a_wall(face, face.albedo)
    dyed = []
    for told in (None, lambda chosen: labels[chosen]):
        _, albedo = fit_appearance(face, geometry, everyone(8), SIZE, lambda chosen: pictures[chosen], labels=told)
        dyed.append(int(((albedo[:, 0] - albedo[:, 1]) > (face.albedo[:, 0] - face.albedo[:, 1]) + 0.25).sum()))
    assert dyed[0] > 50
    assert dyed[1] < 0.1 * dyed[0]


def test_a_few_teeth_in_the_light_do_not_make_all_of_them_shine(face):
    skin = torch.zeros(len(face.mean), dtype=torch.bool)
    skin[face.triangles[face.skin].flatten()] = True
    near = (face.mean - face.mean[face.landmark_ids[INNER_MOUTH]].mean(0)).norm(dim=-1) < 0.4
    inside, white = near & ~skin, face.albedo.amin(-1) > 0.8
    seen = face.albedo * torch.where(inside[:, None], 0.7, 1.0)
    lit = (inside & white).nonzero()[:, 0][::8]
    seen[lit] = face.albedo[lit]
    filled = fill_unseen(face, seen, torch.ones(len(skin)), skin)
    shade = (filled / face.albedo)[inside & white].mean(-1).median()
    assert shade == pytest.approx(0.7, abs=0.03)


def test_teeth_are_as_white_as_they_were_seen_whatever_the_skin(face):
    teeth = (face.albedo.mean(-1) > 0.8) & (face.albedo.amax(-1) - face.albedo.amin(-1) < 0.15)
    teeth &= (face.mean - face.mean[face.landmark_ids[INNER_MOUTH]].mean(0)).norm(dim=-1) < 0.4
    albedo = face.albedo * torch.where(teeth[:, None], 1.0, torch.tensor([0.5, 0.8, 0.8]))
    geometry, pictures, _ = before_a_wall(face, albedo)
    fitted = fit_appearance(face, geometry, everyone(8), SIZE, lambda chosen: pictures[chosen])[1]
    tint = (fitted / albedo)[teeth].median(0).values
    assert teeth.sum() > 20
    assert tint.max() / tint.min() < 1.2


def held_out(face, cut, hide):
    """A clip whose frames from `cut` on show something else where `hide`, fitted without regard to them."""
    true = talking(face, seed=1)
    alone = {"identity": true.identity[None], "camera": square_camera(SIZE)[None], "albedo": face.albedo[None]}
    timed = {"expression": true.expression[None], "pose": true.pose[None], "light": torch.zeros(1, FRAMES, 27)}
    pictures = (draw(face, timed["expression"], Subject(("a",), **alone, **timed), (SIZE, SIZE)).image[0] * 255).byte()
    landmarks = landmarks_of(face, true, SIZE)
    if hide:
        landmarks[cut:] += 8 * torch.randn(FRAMES - cut, 68, 2, generator=torch.Generator().manual_seed(3))
        pictures[cut:] = 255 - pictures[cut:]
    return FromLandmarks(face)(TrackedFace(landmarks, everyone(), SIZE, lambda chosen: pictures[chosen], cut=cut))


def test_what_is_held_out_changes_nothing_of_what_comes_before(face):
    plain, hidden = (held_out(face, 21, hide) for hide in (False, True))
    for once in ("identity", "albedo"):
        assert torch.equal(getattr(plain, once), getattr(hidden, once))
    for timed in ("expression", "pose", "light"):
        assert torch.equal(getattr(plain, timed)[:21], getattr(hidden, timed)[:21])
    assert not torch.equal(plain.pose[21:], hidden.pose[21:])


def test_frames_held_out_follow_the_others_without_a_jump(face):
    true = talking(face)
    landmarks = landmarks_of(face, true, SIZE)
    cut = landmarks_of(face, fit_geometry(face, landmarks, everyone(), SIZE, cut=21), SIZE)
    assert (cut - landmarks)[21:, NO_JAW].norm(dim=-1).mean() < 0.5
    assert (cut[21] - cut[20] - (landmarks[21] - landmarks[20])).norm(dim=-1).mean() < 0.5


def test_a_face_that_is_seen_in_held_out_frames_only_is_refused(face):
    late = torch.arange(3) == 2
    with pytest.raises(VisemixError, match="no frame has a face before frame 2, where what is held out begins"):
        FromLandmarks(face)(TrackedFace(torch.zeros(3, 68, 2), late, SIZE, no_pictures, cut=2))


@pytest.mark.slow
def test_two_seconds_of_a_real_clip_are_met_within_the_targets(assets):
    pytest.importorskip("mediapipe")
    ict = FACE.build({"name": "ict", "path": str(assets / "face/ict_facekit.npz")})
    frames = VideoReader(assets / "clips/WDA_KatieHill_000.mp4").between(0, 50)
    track = TRACKER.build({"name": "mediapipe"})(frame.permute(1, 2, 0).numpy() for frame in frames)[0]
    landmarks = torch.from_numpy(track.landmarks)
    fitted = fit_geometry(ict, landmarks, torch.from_numpy(track.present), 512)
    points = landmarks_of(ict, fitted, 512)
    off = (points - landmarks).norm(dim=-1)
    assert off[:, NO_JAW].mean() <= 2.0
    assert off[:, INNER_MOUTH].mean() <= 1.2
    assert correlation(opening(points), opening(landmarks)) >= 0.97
    assert fitted.identity.abs().max() <= 3.0
