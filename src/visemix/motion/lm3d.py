"""How GeneFace's nets see a motion: 68 landmarks in centimetres, with or without the subject's own shape."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from visemix.face import FaceModel
from visemix.face.layout import MOUTH
from visemix.types import Motion, Space, Subject

Identity = Literal["subject", "audio"]
CENTIMETRES = 10.0  # in a decimetre: the unit in which the papers' loss weights were tuned


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
