"""A person drawn by the face model, and Gaussians that learn to paint them."""

from dataclasses import replace

import torch
from conftest import make_clip

from visemix.face.shading import draw
from visemix.render import RENDER
from visemix.types import Motion, Space, Video


def build(face, **options):
    torch.manual_seed(0)
    return RENDER.build({"name": "gaussians", "count": 600, "components": 3, **options}, face)


def one_person(face, frames=6, size=64, turn=0.1):
    """Truth drawn from the face model itself over a grey place: pixels of the head are labelled so."""
    clip = make_clip(face, batch=1, frames=frames, size=size)
    pose = torch.zeros(1, frames, 6)
    pose[..., 1] = torch.linspace(-turn, turn, frames)
    subject = replace(clip.subject, pose=pose, background=torch.full((1, 3, size, size), 0.5))
    picture = draw(face, subject.expression, subject, (size, size))
    frames_ = picture.image + 0.5 * (1 - picture.coverage)
    subject = replace(subject, footage=frames_, labels=(2 * picture.coverage[:, :, 0]).byte())
    return replace(clip, subject=subject, video=Video(frames_), motion=Motion(subject.expression, Space.EXPRESSION))


def single(clip, t):
    at = torch.tensor([t])
    subject = clip.subject.at(at)
    return replace(
        clip, subject=subject, motion=Motion(subject.expression, Space.EXPRESSION), video=Video(subject.footage)
    )


def begun(face, clip, **options):
    render = build(face, **options)
    whole = replace(clip, subject=replace(clip.subject, footage=None, labels=None, background=None))
    render.init_from_data([whole], [single(clip, t) for t in range(clip.subject.frames)])
    return render


def trained(face, clip, steps=150, **options):
    render = begun(face, clip, **options).train()
    groups = [
        {"params": list(m.parameters(recurse=False)), "lr": 0.001 * m.lr_scale}
        for m in render.modules()
        if hasattr(m, "lr_scale")
    ]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)
    for step in range(steps):
        one = single(clip, step % clip.subject.frames)
        optimiser.zero_grad()
        sum(render.loss(one.motion, one.subject, one.video).values()).backward()
        optimiser.step()
    return render.eval()


def psnr(a, b):
    return float(-10 * (a - b).square().mean().log10())
