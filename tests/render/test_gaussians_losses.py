import pytest
import torch
from gaussians_maker import begun, build, one_person, single

from visemix.face import layout
from visemix.face.shading import landmarks_2d
from visemix.render.bindings import Bindings, inner_triangles
from visemix.render.gaussians import SMALL
from visemix.render.mouth import FREEDOM
from visemix.types import Video


def test_a_mouth_has_more_places_than_a_cheek_of_its_size(face):
    origin = Bindings(face, 4000)(face.mean[Bindings(face, 4000).vertices], torch.zeros(6))[0].mT
    mouth = face.mean[face.landmark_ids[[51, 57]]].mean(0)
    cheek = face.mean[face.landmark_ids[[2, 31]]].mean(0)
    near = [int(((origin - place)[:, :2].norm(dim=-1) < 0.15).sum()) for place in (mouth, cheek)]
    assert near[0] > 2 * near[1]


def test_a_face_model_without_a_mouth_inside_gets_a_membrane(face, monkeypatch):
    monkeypatch.setattr("visemix.render.bindings.inner_triangles", lambda f: inner_triangles(f) & False)
    closed = Bindings(face, 2000)
    open_ = ~closed.on_skin & closed.lower
    spots = closed(face.mean[closed.vertices], torch.zeros(6))[0][:, open_]
    lips = face.mean[face.landmark_ids[60:68]]
    inner = ((spots[0] > lips[:, 0].min()) & (spots[0] < lips[:, 0].max())).float().mean()
    assert open_.sum() > 100 and inner > 0.5


def test_gaussians_that_a_rate_too_high_threw_out_of_all_numbers_have_a_loss_that_is_none(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).train()
    with torch.no_grad():
        render.offset.values.fill_(torch.nan)
    assert sum(render.loss(clip.motion, clip.subject, clip.video).values()).isnan()  # `fit` says which rate to lower


def test_what_is_inside_a_mouth_moves_and_is_tinted_less_than_skin(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).eval()
    expression = clip.motion.values[0, 0] + 1
    placed = []
    for far in (0.0, 1.0):
        torch.nn.init.constant_(render.face_moves.values, far)
        torch.nn.init.constant_(render.face_tints.values, far)
        render.drive.basis.fill_(0.1)
        render.drive.low.fill_(-1)
        render.drive.high.fill_(1)
        with torch.no_grad():
            means, _, _, colour = render._gaussians(
                render._mesh(expression, clip.subject, 0, 0), expression, clip.subject, 0, 0
            )
        placed.append(torch.cat([means, colour], 1)[: render.counts[0]])
    inside = torch.zeros(render.counts[0], dtype=torch.bool)
    inside[render.mouth.ids] = True
    tinted = (placed[1] - placed[0])[:, 3:].abs().amax(1)
    torch.testing.assert_close(tinted[inside].mean(), FREEDOM * tinted[~inside].mean())
    moved = (placed[1] - placed[0])[:, :3].norm(dim=1)
    assert moved[inside].median() < 0.5 * moved[~inside].median()


def test_what_it_has_learnt_is_judged_by_pictures_alone(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip)
    assert {"alike", "rigid"} < render.train().loss(clip.motion, clip.subject, clip.video).keys()
    assert set(render.eval().loss(clip.motion, clip.subject, clip.video)) == {"pixels", "ssim", "edges", "clear"}


def test_edges_are_to_be_as_strong_as_the_footages_but_for_those_in_the_mouth(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).eval()
    spots = landmarks_2d(face, clip.subject.expression, clip.subject)[0, 0]

    def edges(where):
        frames = clip.video.frames.clone()
        x, y = spots[where].mean(0).round().long().tolist()
        frames[..., y - 1 : y + 1, x - 1 : x + 1] = 1 - frames[..., y - 1 : y + 1, x - 1 : x + 1]
        return render.loss(clip.motion, clip.subject, Video(frames))["edges"]

    as_filmed = render.loss(clip.motion, clip.subject, clip.video)["edges"]
    assert edges(layout.INNER_MOUTH) == as_filmed
    assert (edges(layout.NOSE_BRIDGE) - as_filmed).abs() > 1e-5
    assert build(face, edge_weight=0.0).edge_weight == 0


def test_the_more_training_shows_of_a_mouth_the_less_its_places_believe_their_neighbours(face):
    clip = one_person(face)
    often, once = begun(face, clip), begun(face, single(clip, 0))
    ids = often.mouth.ids
    assert often.mouth.unseen[ids].mean() < once.mouth.unseen[ids].mean() < 1
    assert often.mouth.unseen.amin() < 0.5


def test_what_training_shows_of_a_mouth_is_known_to_a_head_that_is_trained_on(face):
    clip = one_person(face)
    render, other = begun(face, clip), build(face)
    other.load_state_dict(render.state_dict())
    assert (other.mouth.unseen == 1).all()
    other.init_from_data([clip], [single(clip, t) for t in range(6)])
    torch.testing.assert_close(other.mouth.unseen, render.mouth.unseen)


def test_a_gaussian_grows_e_fold_at_no_cost_from_whatever_it_began_as(face):
    render = begun(face, one_person(face, frames=2))
    costs = [render._priors()["small"].item()]
    for growth in (1, 2):
        with torch.no_grad():
            render.size.values.copy_(growth + render.size_start.log())
        costs.append(render._priors()["small"].item())
    assert costs == pytest.approx([0, 0, SMALL], abs=1e-9)
