"""What is frozen of every part: its options, its weights' names and shapes, and one forward, backward and step."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import small_bfm
import standins  # noqa: F401 – wrappers are tried around the models of a third party
import torch
from conftest import make_clip
from digests import digest, rounded
from tiny_parts import config

from visemix.audio import AUDIO
from visemix.face import FACE, draw, landmarks_2d
from visemix.motion import MOTION
from visemix.render import RENDER
from visemix.training.optim import StageOptions, optimiser, parameter_groups
from visemix.types import Adversarial, AudioFeatures, Motion, Space, Video

PRESETS = ("paper", "official")  # the third, "corrected", is what a part is by default
VANILLA = {"vanilla_width": 8, "coarse": 2, "fine": 2}  # of the field that two presets of landmark_nerf have
AUDIO_DIM = 8
EXACT = {"taft": {"precision": "float32"}}  # by default it is the processor that decides


def ours(registry):
    return [name for name in registry.names() if registry[name].__module__.startswith("visemix.")]


def with_presets(registry):
    """Our parts by what their case is called."""
    for name in ours(registry):
        yield name, config(name)
        if "compat" in registry.full(config(name)):
            small = VANILLA if name == "landmark_nerf" else {}
            yield from ((f"{name}-{preset}", config(name) | small | {"compat": preset}) for preset in PRESETS)


def cases():
    """Every part's case by name: a function that answers with what is frozen."""
    found = {}
    for kind, registry, work in (("audio", AUDIO, audio), ("motion", MOTION, motion), ("render", RENDER, render)):
        found |= {f"{kind}/{name}": partial(work, options) for name, options in with_presets(registry)}
    return found | {f"face/{name}": partial(face_model, name) for name in ours(FACE)}


@cache
def toy():
    return FACE.build({"name": "toy"})


def held(registry, options, part):
    return {"options": registry.full(options), "weights": tree(part.state_dict())}


def tree(state):
    """Shapes by name, nested at the dots."""
    found = {}
    for name, value in state.items():
        *folders, last = name.split(".")
        here = found
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = "×".join(map(str, value.shape))
    return found


def stirred(part):
    """With every weight a little off where it starts: outputs that start at 0 would hide all that comes before them."""
    g = torch.Generator().manual_seed(4)
    for _, weight in sorted(part.named_parameters()):
        weight.data += 0.05 * torch.randn(weight.shape, generator=g)
    return part


def learnt(part, losses, critic_losses=None, critic=None):
    """Each loss, the gradient of their sum, and how one step of AdamW moves the weights; of the critic the same."""
    if critic is not None:
        critic.requires_grad_(False)
    found = _moved(part, losses)
    if critic is not None:
        critic.requires_grad_(True)
        found["critic"] = _moved(critic, critic_losses)
    return found


def _moved(part, losses):
    torch.manual_seed(1)
    values = losses()
    found = {"losses": {name: rounded(value) for name, value in values.items()}}
    weights = {name: p for name, p in sorted(part.named_parameters()) if p.requires_grad}
    if not weights:
        return found
    part.zero_grad()
    sum(values.values()).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights.values()]
    gradient = torch.cat([g.flatten() for g in gradients])
    # so large an epsilon makes the step follow the gradient smoothly: noise in one that ought to be 0 has no say
    options = StageOptions(lr=1e-2, weight_decay=0.1, eps=max(float(gradient.square().mean().sqrt()), 1e-12))
    before = torch.cat([p.detach().flatten() for p in weights.values()]).clone()
    optimiser(parameter_groups(part, options), options).step()
    after = torch.cat([p.detach().flatten() for p in weights.values()])
    norms = [rounded(g.double().norm(), 5) for g in gradients]
    return found | {"gradient": digest(gradient), "gradients": norms, "step": digest((after - before) / options.lr)}


def audio(options):
    clip = make_clip(toy())
    torch.manual_seed(0)
    part = stirred(AUDIO.build(options)).eval()
    with torch.no_grad():
        found = held(AUDIO, options, part) | {"dim": part.dim, "output": digest(part(clip.speech).values)}
    if any(p.requires_grad for p in part.parameters()):
        part.train()
        found |= learnt(part, lambda: {"square": part(clip.speech).values.square().mean()})
    return found


def motion(options):
    clip = make_clip(toy())
    features = AudioFeatures(torch.randn(2, 10, AUDIO_DIM, generator=torch.Generator().manual_seed(2)))
    torch.manual_seed(0)
    part = stirred(MOTION.build(options, AUDIO_DIM, toy())).eval()
    target = toy().convert(clip.motion, part.space, clip.subject)
    inputs = (features, clip.subject, target)
    with torch.no_grad():
        torch.manual_seed(1)
        found = {"space": part.space.value, "output": digest(part(features, clip.subject).values)}
        found["drawn"] = digest(part.draw(features, clip.subject, seed=5).values)
    part.train()
    return held(MOTION, options, part) | found | learnt(part, lambda: part.loss(*inputs), *critic_of(part, inputs))


def critic_of(part, inputs):
    if isinstance(part, Adversarial) and part.critic is not None:
        return (lambda: part.critic_loss(*inputs)), part.critic
    return ()


def render(options):
    clip = make_clip(toy(), batch=1, frames=4, size=48)
    torch.manual_seed(0)
    part = stirred(RENDER.build(options | EXACT.get(options["name"], {}), toy())).eval()
    frames = [one_frame(clip, k) for k in range(4)]
    part.init_from_data([replace(clip, video=None)], frames)
    few = clip.subject.at(torch.arange(2))
    seen = toy().convert(Motion(clip.motion.values[:, :2], clip.motion.space), part.space, few)
    inputs = (seen, few, Video(clip.video.frames[:, :2]))
    with torch.no_grad():
        torch.manual_seed(1)
        found = {"space": part.space.value, "output": digest(part(seen, few).frames)}
    part.train()
    return held(RENDER, options, part) | found | learnt(part, lambda: part.loss(*inputs), *critic_of(part, inputs))


def one_frame(clip, k):
    motion = Motion(clip.motion.values[:, k : k + 1], clip.motion.space)
    subject = clip.subject.at(torch.tensor([k]))
    return replace(
        clip, speech=clip.speech.part(k, k + 1), motion=motion, subject=subject, video=Video(subject.footage)
    )


def face_model(name):
    with TemporaryDirectory() as folder:
        options = {"name": name}
        if name == "bfm":  # the licensed files are not ours to give away
            small_bfm.write(Path(folder))
            options["path"] = folder
        face = FACE.build(options)
    clip = make_clip(face, batch=1, frames=2, size=48)
    turned = clip.subject.expression.clone().requires_grad_()
    points = landmarks_2d(face, turned, clip.subject)
    points.square().mean().backward()
    there = face.convert(Motion(turned.detach(), Space.EXPRESSION), Space.LANDMARKS, clip.subject)
    buffers = {key: digest(value) for key, value in face.named_buffers()}
    return {
        "buffers": buffers,
        "vertices": digest(face.vertices(clip.subject.identity, turned)),
        "landmarks": digest(points),
        "offsets": digest(there.values),
        "back": digest(face.convert(there, Space.EXPRESSION, clip.subject).values),
        "picture": digest(draw(face, turned.detach(), clip.subject, (48, 48)).image),
        "gradient": digest(turned.grad),
    }
