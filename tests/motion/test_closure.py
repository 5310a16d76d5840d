import numpy as np
import pytest
import torch
from standins import Acted

from visemix.corpus.acting import Style, animate
from visemix.data.phonemes import Phone
from visemix.face import FACE
from visemix.face.layout import lip_distance
from visemix.motion import Closure, stream
from visemix.types import AudioFeatures, Motion, Space, Subject, VisemixError

BASES = {
    "expression": {"name": "regression", "hidden": 8},
    "landmarks": {"name": "regression", "hidden": 8, "space": "landmarks"},
}


def build(face, clip, base, told):
    """One whose net hears `told`, whatever is said, over the clip's own motion."""
    model = Closure(6, face, base=BASES[base]).eval()
    torch.nn.init.zeros_(model.touch[-1].weight)
    torch.nn.init.constant_(model.touch[-1].bias, torch.logit(torch.tensor(told)).item())
    model.base = Acted(face.convert(clip.motion, model.space, clip.subject))
    return model.requires_grad_(False)


def sound(frames=10, seed=1):
    return AudioFeatures(torch.randn(2, frames, 6, generator=torch.Generator().manual_seed(seed)))


def gap(face, motion, subject):
    return lip_distance(face.landmarks(motion, subject)).clamp(min=0)


@pytest.mark.parametrize("base", BASES)
def test_lips_meet_where_it_is_told_and_stay_as_they_are_where_not(face, clip, base):
    opened = build(face, clip, base, 0.1)
    plain = opened.base(sound(), clip.subject)
    assert torch.equal(opened(sound(), clip.subject).values, plain.values)
    before = gap(face, plain, clip.subject)
    assert before.max() > 0.05
    half, shut = (
        gap(face, build(face, clip, base, told)(sound(), clip.subject), clip.subject) for told in (0.275, 0.4)
    )
    assert shut.max() < 0.1 * before.max()
    torch.testing.assert_close(half, before + (shut - before) / 2, atol=1e-3, rtol=0.05)


@pytest.mark.parametrize("base", BASES)
def test_what_is_far_from_the_mouth_hardly_moves(face, clip, base):
    model = build(face, clip, base, 0.9)
    moved, plain = (
        face.landmarks(face.convert(motion, Space.LANDMARKS, clip.subject), clip.subject)
        for motion in (model(sound(), clip.subject), model.base(sound(), clip.subject))
    )
    far = (moved - plain).norm(dim=-1)
    assert far[:, :, [*range(17, 27), *range(36, 48)]].max() < 0.1 * far[:, :, 60:68].max()


def test_it_learns_when_true_lips_touch(face, clip):
    torch.manual_seed(0)
    model = Closure(6, face, base=BASES["expression"], dropout=0.0, near=4.0)
    expression = clip.motion.values.clone()
    expression[:, 4:7] = 0
    target = Motion(expression, Space.EXPRESSION)
    touching = model._touching(target, clip.subject)
    assert touching[:, 4:7].all() and not touching.all()
    features = AudioFeatures(touching.float().unsqueeze(-1).expand(-1, -1, 6) + 0.1 * sound().values)
    optim = torch.optim.Adam(model.touch.parameters(), 0.01)
    for _ in range(60):
        optim.zero_grad()
        loss = model.loss(features, clip.subject, target)["closure"]
        loss.backward()
        optim.step()
    model.eval()
    assert torch.equal(model.touch.share(features.values)[..., 0] > 0.5, touching)


@pytest.mark.parametrize("name", ["toy", "ict"])
def test_what_touches_is_told_from_f_and_v_on_every_face(name, request):
    """The corpus' acting is the truth: lips at rest are millimetres apart on some faces, overlap on others."""
    if name == "ict":
        request.getfixturevalue("assets")
    any_face = FACE.build({"name": name})
    for seed in range(6):
        identity = torch.from_numpy(
            np.random.default_rng(seed).standard_normal((1, any_face.identity.shape[-1]))
        ).float()
        phones = [Phone(s, 0.12 * k, 0.12 * k + 0.12, 1.0) for k, s in enumerate("ɑmɑfɑbɑvɑpɑ")]
        acted = animate(phones, 33, Style(), any_face, 0)
        still = torch.zeros
        subject = Subject(("anna",), identity, acted.expression[None], still(1, 33, 6), still(1, 3), still(1, 33, 27),
                          any_face.albedo[None])  # fmt: skip
        model = Closure(6, any_face, base=BASES["expression"])
        touching = model._touching(Motion(acted.expression[None], Space.EXPRESSION), subject)[0]
        middles = [round((phone.start + phone.stop) / 2 * 25 - 0.5) for phone in phones]
        assert [bool(touching[k]) for k in middles] == [phone.symbol in "pbm" for phone in phones], seed


@pytest.mark.parametrize("base", BASES)
def test_streaming_equals_one_pass(face, clip, base):
    torch.manual_seed(0)
    model, long = Closure(6, face, base=BASES[base], start=0.45, sure=0.55).eval(), sound(700)
    pieces = [AudioFeatures(v) for v in long.values.split([3, 600, 97], 1)]
    joined = torch.cat([m.values for m in stream(model, pieces, clip.subject)], 1)
    torch.testing.assert_close(joined, model(long, clip.subject).values, atol=1e-5, rtol=1e-4)


def test_probabilities_in_the_wrong_order_are_refused(face):
    with pytest.raises(VisemixError, match=r"motion.start=0.5 must lie below motion.sure=0.4"):
        Closure(6, face, base=BASES["expression"], start=0.5)
