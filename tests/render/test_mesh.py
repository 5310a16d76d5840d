from dataclasses import replace

import pytest
import torch
from conftest import make_clip

from visemix.face.shading import draw
from visemix.render import RENDER
from visemix.types import Video, VisemixError


def test_the_face_hides_the_footage_and_nothing_else_does(face, clip):
    video = RENDER.build({"name": "mesh"}, face)(clip.motion, clip.subject)
    picture = draw(face, clip.motion.values, clip.subject, (64, 64))
    torch.testing.assert_close(video.frames, torch.where(picture.coverage > 0, picture.image, clip.subject.footage))
    assert 0.05 < float(picture.coverage.mean()) < 0.95


def test_over_black_it_needs_no_footage(face, clip):
    subject = replace(clip.subject, footage=None)
    video = RENDER.build({"name": "mesh", "over": "black"}, face)(clip.motion, subject)
    torch.testing.assert_close(video.frames, draw(face, clip.motion.values, subject, (64, 64)).image)
    with pytest.raises(VisemixError, match="no footage of 'speaker0'"):
        RENDER.build({"name": "mesh"}, face)(clip.motion, subject)


def test_it_learns_the_colour_of_a_lamp_and_gradients_reach_the_motion(face):
    clip = make_clip(face, batch=1, frames=2)
    mesh = RENDER.build({"name": "mesh", "over": "black"}, face)
    values = clip.motion.values.clone().requires_grad_()
    motion = replace(clip.motion, values=values)
    lamp = torch.tensor([0.9, 0.6, 0.3])
    target = Video(draw(face, clip.motion.values, clip.subject, (64, 64)).image * lamp[:, None, None])
    mesh.loss(motion, clip.subject, target)["image"].backward()
    assert values.grad.abs().sum() > 0
    optimiser = torch.optim.Adam(mesh.parameters(), 0.05, betas=(0.5, 0.9))
    for _ in range(25):
        optimiser.zero_grad()
        mesh.loss(clip.motion, clip.subject, target)["image"].backward()
        optimiser.step()
    torch.testing.assert_close(mesh.gain.detach(), lamp, atol=0.06, rtol=0)
