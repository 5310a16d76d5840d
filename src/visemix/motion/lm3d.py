"""How GeneFace's nets see a motion: 68 landmarks in centimetres, with or without the subject's own shape."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visemix.face import FaceModel
from visemix.face.layout import MOUTH
from visemix.ops.sequence import smooth
from visemix.types import Motion, Space, Subject

Identity = Literal["subject", "audio"]
CENTIMETRES = 10.0  # in a decimetre: the unit in which the papers' loss weights were tuned
SIGMA, MOUTH_SIGMA = 1.0, 0.5  # frames over which landmarks are smoothed at inference, those of the mouth less


class LM3D(nn.Module):
    """Conversion of motion to rows of 204 numbers (68 landmarks, centimetres) and back.

    Args:
        identity: "subject": rows are what the face does, and the subject's shape is added again (it is known; it does
            not have to be guessed). "audio": rows are offsets from the mean face, so a net has to say from the sound
            what the speaker looks like, as the paper's and the authors' do.
    """

    def __init__(self, face: FaceModel, identity: Identity) -> None:
        super().__init__()
        self.face, self.identity = face, identity

    def pack(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T 204"]:
        """Landmarks of a motion in centimetres, for `identity` "subject" less the subject's shape."""
        return (self.face.convert(motion, Space.LANDMARKS, subject).values - self._shape(subject)) * CENTIMETRES

    def unpack(self, rows: Float[Tensor, "B T 204"], subject: Subject) -> Motion:
        """Motion (landmarks, decimetres) of rows that `pack` gave, that shape added again."""
        return Motion(rows / CENTIMETRES + self._shape(subject), Space.LANDMARKS)

    def _shape(self, subject: Subject) -> Tensor:
        shape = self.face.shape(subject.identity).unsqueeze(1)
        return shape if self.identity == "subject" else 0 * shape


def mouth(rows: Float[Tensor, "B T 204"]) -> Float[Tensor, "B T 60"]:
    """The twenty points of the mouth."""
    return rows.unflatten(-1, (68, 3))[:, :, MOUTH].flatten(2)


def smooth_landmarks(rows: Float[Tensor, "B T 204"], sigma: float, mouth_sigma: float) -> Float[Tensor, "B T 204"]:
    """Gaussian means over time, of the mouth's points and of the others; sigmas in frames, 0 for none."""
    points = rows.unflatten(-1, (68, 3))
    rest, lips = points[:, :, : MOUTH.start].flatten(2), points[:, :, MOUTH].flatten(2)
    return torch.cat([_smoothed(rest, sigma), _smoothed(lips, mouth_sigma)], 2)


def smoothing_radius(*sigmas: float) -> int:
    """Frames to either side that a Gaussian mean of the largest of these sigmas looks at."""
    return math.ceil(3 * max(sigmas))


def _smoothed(rows: Float[Tensor, "B T C"], sigma: float) -> Float[Tensor, "B T C"]:
    return smooth(rows, sigma, smoothing_radius(sigma)) if sigma > 0 else rows
