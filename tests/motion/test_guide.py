import pytest
import torch

from visemix.motion.guide import SyncGuide, split_halves
from visemix.types import AudioFeatures, Motion, Space, VisemixError


def speaking(face, clip, frames=80):
    """A sound whose first channel is how far the jaw of either clip has dropped."""
    g = torch.Generator().manual_seed(0)
    drop = torch.nn.functional.avg_pool1d(torch.randn(2, 1, frames + 4, generator=g), 5, 1)[:, 0]
    expression = torch.zeros(2, frames, face.expression.shape[-1])
    expression[..., face.expression_names.index("jaw_drop")] = drop
    return AudioFeatures(drop.unsqueeze(-1).expand(-1, -1, 4).clone()), Motion(expression, Space.EXPRESSION)


@pytest.fixture
def guide(face):
    torch.manual_seed(0)
    return SyncGuide(4, face, dim=32, windows=256)


def test_it_is_frozen_until_its_stage_trains_it(guide):
    assert not any(p.requires_grad for p in guide.parameters()) and not guide.expert.training


def test_it_learns_what_belongs_together(guide, face, clip):
    features, motion = speaking(face, clip)
    guide.expert.requires_grad_(True).train()
    optimiser = torch.optim.Adam(guide.parameters(), 3e-3)
    for _ in range(40):
        loss = guide.training_loss(features, clip.subject, motion)["sync"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    guide.expert.eval()
    found = guide.measure(features, clip.subject, motion)
    assert found["accuracy"] > 0.8 and found["auc"] > 0.9 and found["offset_found"] == 1
    late = AudioFeatures(features.values.roll(4, 1))
    assert guide.offset_curves(late, clip.subject, motion).argmax(-1).tolist() == [19, 19]
    assert guide.loss(features, clip.subject, motion) < 0.7 * guide.loss(late, clip.subject, motion)


def test_it_sees_the_mouth_alone(guide, face, clip):
    features, motion = speaking(face, clip)
    points = face.convert(motion, Space.LANDMARKS, clip.subject)
    elsewhere, lips = points.values.clone(), points.values.clone()
    elsewhere[..., : 48 * 3] += 1
    lips[..., 48 * 3 :] += 1
    before = guide.offset_curves(features, clip.subject, points)
    assert torch.equal(guide.offset_curves(features, clip.subject, Motion(elsewhere, Space.LANDMARKS)), before)
    assert not torch.equal(guide.offset_curves(features, clip.subject, Motion(lips, Space.LANDMARKS)), before)


def test_either_half_of_a_row_is_heard(face, clip):
    torch.manual_seed(0)
    guide = SyncGuide(4, face, halves=2, dim=16)
    features, motion = speaking(face, clip)
    before = guide.offset_curves(features, clip.subject, motion)
    for half in (slice(0, 2), slice(2, 4)):
        changed = features.values.clone()
        changed[..., half] += torch.randn(changed[..., half].shape)
        assert not torch.equal(guide.offset_curves(AudioFeatures(changed), clip.subject, motion), before)
    rows = split_halves(torch.arange(8.0).reshape(1, 2, 4), 2)
    assert rows.tolist() == [[[0, 1], [2, 3], [4, 5], [6, 7]]]


def test_short_clips_have_short_curves_and_shorter_ones_are_refused(guide, clip):
    features = AudioFeatures(torch.randn(2, 10, 4))
    assert guide.offset_curves(features, clip.subject, clip.motion).shape == (2, 31)
    with pytest.raises(VisemixError, match="windows of 7 frames are too short for a sync-expert; it wants 8"):
        few = Motion(clip.motion.values[:, :7], clip.motion.space)
        guide.training_loss(AudioFeatures(features.values[:, :7]), clip.subject, few)
