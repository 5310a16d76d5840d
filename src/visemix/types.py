"""The types that flow between stages. Everything here is a frozen bundle of tensors; nothing here learns.

Axes: B batch, T video frames, S audio samples, C feature channels, D motion channels, N vertices, H×W pixels.
One clock: 25 video frames and 16 000 samples a second, so one frame is exactly 640 samples.
Pictures are RGB in [0, 1]; the centre of pixel (row i, column j) is the point (x, y) = (j + 0.5, i + 0.5).
Space is right-handed, x to the right of the picture, y up, z toward the viewer, in decimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum, IntEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from visemix.terminal import printable_lines

__all__ = [
    "FPS",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "Adversarial",
    "AudioFeatures",
    "Clip",
    "Gallery",
    "Losses",
    "Motion",
    "Space",
    "Speech",
    "Streaming",
    "Subject",
    "TensorStruct",
    "Video",
    "VisemixError",
    "collate",
]

SAMPLE_RATE = 16_000  # audio samples per second, mono
FPS = 25  # video frames per second
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS


class VisemixError(Exception):
    """Something the user can put right: one sentence that names the file, the value and the way out."""

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class Space(Enum):
    """What the channels of a `Motion` mean."""

    EXPRESSION = "expression"  # coefficients of the face model's expression basis, unitless (BFM 64, ICT 53)
    LANDMARKS = "landmarks"  # 68 × xyz offsets from the neutral mean face, in decimetres
    FEATURES = "features"  # the audio encoder's own, for a renderer that listens: no motion model comes between


T = TypeVar("T", bound="TensorStruct")  # not typing.Self: the shape checker decorates methods one by one


class TensorStruct:
    """A dataclass of tensors that moves as one (Lightning calls `.to`)."""

    def map(self: T, fn: Callable[[Tensor], Tensor]) -> T:
        """The bundle with `fn` of each tensor, in bundles inside it too."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        for name, value in moved.items():
            if isinstance(value, Tensor):
                moved[name] = fn(value)
            elif isinstance(value, TensorStruct):
                moved[name] = value.map(fn)
        return replace(self, **moved)  # type: ignore[type-var]

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """The bundle with each tensor as `Tensor.to` gives it."""
        return self.map(lambda t: t.to(*args, **kwargs))


def collate(items: Sequence[T]) -> T:
    """Bundles of batch size one or more, as one batch. A field that is None in one must be None in all."""
    joined: dict[str, Any] = {}
    for f in fields(items[0]):  # type: ignore[arg-type]
        values = [getattr(item, f.name) for item in items]
        if isinstance(values[0], Tensor):
            joined[f.name] = torch.cat(values)
        elif isinstance(values[0], TensorStruct):
            joined[f.name] = collate(values)
        elif isinstance(values[0], tuple):
            joined[f.name] = sum(values, ())
        else:
            joined[f.name] = values[0]
    return replace(items[0], **joined)  # type: ignore[type-var]


@dataclass(frozen=True)
class Speech(TensorStruct):
    """Mono waveform at 16 kHz, in [-1, 1]; for encoders that listen further, what was heard around it, where known."""

    wave: Float[Tensor, "B S"]
    before: Float[Tensor, "B P"] | None = None  # whole frames; None: nothing was
    after: Float[Tensor, "B A"] | None = None

    @property
    def frames(self) -> int:
        """Video frames that this much sound covers (a trailing part-frame is dropped)."""
        return self.wave.shape[1] // SAMPLES_PER_FRAME

    def part(self, start: int, stop: int, past: int = 0, ahead: int = 0) -> Speech:
        """Some frames of it, with as much of that many frames before and after them as is known."""
        edges = (start - past, start, stop, stop + ahead)
        first, begin, end, last = (edge * SAMPLES_PER_FRAME for edge in edges)
        return Speech(self._samples(begin, end), self._samples(first, begin), self._samples(end, last))

    def _samples(self, first: int, last: int) -> Float[Tensor, "B _"]:
        """The samples from `first` to `last`, counted from the beginning of `wave`, as far as anybody knows them."""
        wave = self.wave[:, : self.frames * SAMPLES_PER_FRAME]
        before, after = (wave[:, :0] if sound is None else sound for sound in (self.before, self.after))
        begins = ((before, -before.shape[1]), (wave, 0), (after, wave.shape[1]))
        return torch.cat([sound[:, max(first - at, 0) : max(last - at, 0)] for sound, at in begins], 1)

    def around(self, past: int, ahead: int) -> Float[Tensor, "B _"]:
        """The sound with exactly that many frames before and after it; silence where nothing is known."""
        known = self.part(0, self.frames, past, ahead)
        assert known.before is not None and known.after is not None
        missing = (
            past * SAMPLES_PER_FRAME - known.before.shape[1],
            ahead * SAMPLES_PER_FRAME - known.after.shape[1],
        )
        return nn.functional.pad(torch.cat([known.before, known.wave, known.after], 1), missing)


@dataclass(frozen=True)
class AudioFeatures(TensorStruct):
    """One row per *video* frame."""

    values: Float[Tensor, "B T C"]


@dataclass(frozen=True)
class Motion(TensorStruct):
    """Facial motion over time, in one of the spaces above; `FaceModel.width(space)` says how wide D is."""

    values: Float[Tensor, "B T D"]
    space: Space


class Label(IntEnum):
    """What a pixel of the footage shows."""

    BACKGROUND = 0
    TORSO = 1  # neck, shoulders, clothes
    HEAD = 2  # face, hair, ears, inside of the mouth


@dataclass(frozen=True)
class Gallery(TensorStruct):
    """Pictures of a subject, among which a renderer finds the face that is most like the one it is to draw."""

    pictures: UInt8[Tensor, "B K 3 H W"]
    expression: Float[Tensor, "B K E"]
    pose: Float[Tensor, "B K 6"]


@dataclass(frozen=True)
class Subject(TensorStruct):
    """Who is talking, and the footage to talk over: shape, skin, light, head pose and the footage's own expression."""

    speaker: tuple[str, ...]  # a name for each of the batch; speaking styles are looked up by it
    identity: Float[Tensor, "B I"]  # coefficients of the identity basis, in standard deviations
    expression: Float[Tensor, "B T E"]  # of the footage itself
    # Euler XYZ in radians, then translation in decimetres; the camera stands at z = 10 and looks towards −z, so that a
    # head is farther away, and smaller, the lower its z
    pose: Float[Tensor, "B T 6"]
    camera: Float[Tensor, "B 3"]  # focal length, centre x, centre y, in pixels of the footage
    light: Float[Tensor, "B T 27"]  # spherical harmonics, RGB-major (3 × 9), as Deep3DFaceRecon's gamma
    albedo: Float[Tensor, "B N 3"]  # skin colour of every vertex, RGB in [0, 1]
    footage: Float[Tensor, "B T 3 H W"] | None = None  # None where only motion is at stake
    reference: Float[Tensor, "B 3 H W"] | None = None  # one picture of the subject, for renderers that want it
    gallery: Gallery | None = None  # more of them, for renderers that choose
    labels: UInt8[Tensor, "B T H W"] | None = None  # of the footage: a `Label` for each pixel
    background: Float[Tensor, "B 3 H W"] | None = None  # the footage's place without the person
    # the footage's torso against one frame of it, a similarity of the plane at distance 1 from the camera: logarithm of
    # its scale, turn (radians, from x to y), shift (x, y); zeros, or None, where nobody has looked
    torso: Float[Tensor, "B T 4"] | None = None

    @property
    def frames(self) -> int:
        """Video frames that it covers, T."""
        return self.pose.shape[1]

    def at(self, frames: Tensor) -> Subject:
        """The subject over other frames of the footage: a window, or an order of one's own."""
        footage = None if self.footage is None else self.footage[:, frames]
        return replace(
            self,
            expression=self.expression[:, frames],
            pose=self.pose[:, frames],
            light=self.light[:, frames],
            footage=footage,
            labels=None if self.labels is None else self.labels[:, frames],
            torso=None if self.torso is None else self.torso[:, frames],
        )


@dataclass(frozen=True)
class Video(TensorStruct):
    """RGB in [0, 1] at 25 frames per second."""

    frames: Float[Tensor, "B T 3 H W"]


@dataclass(frozen=True)
class Clip(TensorStruct):
    """One training example, or a batch of them: a window in which all agree on T."""

    speech: Speech
    motion: Motion
    subject: Subject
    video: Video | None = None  # None where only motion is at stake
    sounds: Int[Tensor, "B P"] | None = None  # numbers of the speech sounds in it, then 0; None where nobody asked


Losses = dict[str, Tensor]  # name → scalar, already weighted; the sum is what is minimised


@runtime_checkable
class Adversarial(Protocol):
    """A stage that brings its own adversary, used in training only. `critic` may be None: then it has none."""

    critic: nn.Module | None

    def critic_loss(self, *inputs: Any) -> Losses:
        """What the critic minimises."""


@runtime_checkable
class Streaming(Protocol):
    """A motion model that can go through sound piece by piece, carrying its state; equal to one pass over it all."""

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, as the features come."""


@runtime_checkable
class OwnRate(Protocol):
    """A module whose weights learn at the stage's rate times this; of several inside each other the innermost says."""

    lr_scale: float


@runtime_checkable
class OwnStart(Protocol):
    """A module whose weights have no gradient before this step of their stage; of several inside each other the
    innermost says."""

    learns_from: int


@runtime_checkable
class OwnDecay(Protocol):
    """A module all of whose weights decay by the stage's `weight_decay` times this, vectors too."""

    decay_scale: float
