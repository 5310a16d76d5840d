"""Small parts of a third party's, one of each kind: what tests of the frame around the parts run on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

import torch
from conftest import make_clip
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from visemix.audio import AUDIO, AudioEncoder
from visemix.data import DATA, DataModule
from visemix.face import FaceModel
from visemix.motion import MOTION, MotionModel
from visemix.ops.resize import resize_parameter
from visemix.render import RENDER, Renderer
from visemix.types import (
    SAMPLES_PER_FRAME,
    AudioFeatures,
    Clip,
    Losses,
    Motion,
    Space,
    Speech,
    Subject,
    Video,
    collate,
)


@AUDIO.register("spectrum")
class Spectrum(AudioEncoder):
    """Log magnitude spectrum of each frame's 640 samples, projected; the projection learns at a tenth of the rate."""

    lr_scale = 0.1

    def __init__(self, *, dim: int = 8) -> None:
        super().__init__()
        self.dim = dim
        self.project = nn.Linear(SAMPLES_PER_FRAME // 2 + 1, dim)

    def forward(self, speech: Speech) -> AudioFeatures:
        frames = speech.wave[:, : speech.frames * SAMPLES_PER_FRAME].unflatten(1, (-1, SAMPLES_PER_FRAME))
        return AudioFeatures(self.project(torch.fft.rfft(frames).abs().add(1e-5).log()))


class Acted(nn.Module):
    """What the clip's people do, whatever is said."""

    def __init__(self, motion):
        super().__init__()
        self.motion, self.space = motion, motion.space

    def forward(self, audio, subject):
        return self.motion


@MOTION.register("gru")
class GRUMotion(MotionModel):
    """The smallest model that has a memory; streams by carrying its state."""

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        hidden: int = 8,
        layers: int = 1,
        space: Literal["expression", "landmarks"] = "expression",
    ) -> None:
        super().__init__()
        self.space = Space(space)
        self.rnn = nn.GRU(audio_dim, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, face.width(self.space))

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        return Motion(self.head(self.rnn(audio.values)[0]), self.space)

    def stream(self, audio, subject):
        state = None
        for piece in audio:
            hidden, state = self.rnn(piece.values, state)
            yield Motion(self.head(hidden), self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        return {"motion": F.mse_loss(self(audio, subject).values, target.values)}


@MOTION.register("refined")
class Refined(MotionModel):
    """Another model's motion, frozen, followed by a convolution that learns."""

    def __init__(self, audio_dim: int, face: FaceModel, *, hidden: int = 8) -> None:
        super().__init__()
        self.base = MOTION.build({"name": "gru", "hidden": hidden}, audio_dim, face).requires_grad_(False).eval()
        self.space = self.base.space
        self.refine = nn.Conv1d(face.width(self.space), face.width(self.space), 5, padding=2)

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        coarse = self.base(audio, subject).values
        return Motion(coarse + self.refine(coarse.mT).mT, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        return {"motion": F.mse_loss(self(audio, subject).values, target.values)}


@RENDER.register("dots")
class Dots(Renderer):
    """Each landmark as a soft dot over the footage: differentiable. With a critic that looks at single pixels."""

    space = Space.LANDMARKS

    def __init__(self, face: FaceModel, *, radius: float = 0.05, adversarial: bool = False) -> None:
        super().__init__()
        self.face = face
        self.radius = nn.Parameter(torch.tensor(radius))
        self.critic = nn.Conv3d(3, 1, 1) if adversarial else None

    def forward(self, motion: Motion, subject: Subject) -> Video:
        assert subject.footage is not None
        *_, height, width = subject.footage.shape
        ys, xs = (torch.linspace(-1, 1, n, device=self.radius.device) for n in (height, width))
        xy = self.face.landmarks(motion, subject)[..., :2]
        distance = (xy[..., 0, None, None] - xs).square() + (xy[..., 1, None, None] - ys[:, None]).square()
        ink = torch.exp(-distance / self.radius.square()).amax(2).unsqueeze(2)
        return Video((subject.footage * (1 - ink) + ink).clamp(0, 1))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        video = self(motion, subject)
        losses = {"image": F.l1_loss(video.frames, target.frames)}
        return losses if self.critic is None else losses | {"fool": -self.score(video)}

    def critic_loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        with torch.no_grad():
            video = self(motion, subject)
        return {"critic": self.score(video) - self.score(target)}

    def score(self, video: Video) -> Tensor:
        assert self.critic is not None
        return self.critic(video.frames.transpose(1, 2)).mean()


@RENDER.register("beads")
class Beads(Renderer):
    """Tints the footage by the mean of its beads' colours; every other step the first one goes and two come."""

    space, grows = Space.EXPRESSION, True

    def __init__(self, face: FaceModel, *, count: int = 3) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.zeros(count, 3))
        self.register_buffer("age", torch.zeros(count))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        assert subject.footage is not None
        return Video((subject.footage + self.colour.tanh().mean(0)[:, None, None]).clamp(0, 1))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        return {"image": F.l1_loss(self(motion, subject).frames, 1 - target.frames)}

    def before_step(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        assert self.colour.grad is not None and self.colour.grad.shape == self.colour.shape
        self.age += 1

    def after_step(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        if step % 2:
            resize_parameter(optimiser, self.colour, torch.arange(1, len(self.colour)), 0.1 * torch.randn(2, 3))
            self.age = torch.cat([self.age[1:], torch.zeros(2)])


@RENDER.register("still")
class Still(Renderer):
    """The footage as it is."""

    space = Space.EXPRESSION

    def __init__(self, face: FaceModel) -> None:
        super().__init__()

    def forward(self, motion: Motion, subject: Subject) -> Video:
        assert subject.footage is not None
        return Video(subject.footage)

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        return {"image": F.l1_loss(self(motion, subject).frames, target.frames)}


class Windows(torch.utils.data.Dataset[Clip]):
    """Six clips of noise; each time one is asked for, its sound is a little louder or softer, by chance."""

    def __init__(self, face: FaceModel, frames: int) -> None:
        self.clips = [make_clip(face, batch=1, frames=frames, size=16, seed=seed) for seed in range(6)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        clip = self.clips[index]
        louder = Speech(clip.speech.wave * (0.8 + 0.2 * torch.rand(())))
        return Clip(louder, clip.motion, clip.subject, clip.video)


@DATA.register("noise")
class Noise(DataModule):
    """A data module that needs no files."""

    window, batch, frames, workers = 4, 2, True, 0

    def __init__(self, face: FaceModel, *, val: bool = True) -> None:
        super().__init__()
        self.face, self.val = face, val

    def train_dataloader(self):
        return DataLoader(Windows(self.face, self.window), self.batch, collate_fn=collate, num_workers=self.workers)

    def val_dataloader(self):
        return DataLoader([Windows(self.face, self.window)[0]] if self.val else [], batch_size=None)


def die_of_one(task):
    """Work for a process: the task with `at` 1 kills it."""
    if task["at"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ""


def sleep_long(note):
    """Work for a process: it notes who it is, and then does not end by itself."""
    Path(note).write_text(str(os.getpid()))
    time.sleep(600)
