"""GSmoothFace's motion for a landmark renderer, GeneFace's for TAFT: through the face model's conversion."""

import pytest
import standins  # noqa: F401 – registers a renderer that wants landmarks
import torch

from visemix.pipeline import TalkingFace
from visemix.types import Space, Speech

A2EP = {"name": "a2ep", "dim": 16, "heads": 2, "feedforward": 16}
VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 16}
TAFT = {"name": "taft", "base": 4, "max_channels": 8, "levels": 2}


@pytest.mark.parametrize(
    ("motion", "render", "spaces"),
    [
        (A2EP, {"name": "dots"}, (Space.EXPRESSION, Space.LANDMARKS)),
        (VAE, TAFT, (Space.LANDMARKS, Space.EXPRESSION)),
        ({"name": "postnet", "base": A2EP, "sync_dim": 16}, TAFT, (Space.LANDMARKS, Space.EXPRESSION)),
    ],
)
def test_every_motion_model_drives_every_renderer(motion, render, spaces, clip):
    torch.manual_seed(0)
    audio = {"name": "mel", "dim": 16}
    cfg = {"face": {"name": "toy"}, "audio": audio, "motion": motion, "render": render}
    model = TalkingFace.from_config(cfg).eval()
    assert (model.motion.space, model.render.space) == spaces
    few = clip.subject.at(torch.arange(2))
    with torch.inference_mode():
        frames = model(Speech(clip.speech.wave[:, :1280]), few).frames
    assert frames.shape == (2, 2, 3, 64, 64) and frames.isfinite().all()
