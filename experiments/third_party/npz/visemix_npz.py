"""A data set in one file: recordings as `.npz` files, trained on as they are, or written as clips.

    python -m visemix_npz RECORDINGS CLIPS       # then clips for every experiment: data.root=CLIPS
    use: {…, data: npz}                          # or as they are, in an experiment, with data: {root: RECORDINGS}
    plugins: [./visemix_npz.py]                  # and, where it is not installed

Each file holds one person: `pictures` (T, S, S, 3) uint8 at 25 a second, `wave` (640 T) at 16 kHz, and of a face
model `identity` (I) in standard deviations, `expression` (T, E) and `pose` (T, 6): Euler angles in radians, then a
translation in decimetres from the origin, from which the camera stands 10 away and looks towards −z (at z = −4 the
toy head is a little lower than the picture). I is `face.identity.shape[-1]`, E `face.width(Space.EXPRESSION)`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from visemix.data import DATA, DataModule, write_example
from visemix.face import FACE, FaceModel
from visemix.ops.camera import square_camera
from visemix.types import Clip, Motion, Space, Speech, Subject, Video, VisemixError, collate


def read(path: Path, face: FaceModel) -> Clip:
    """A whole recording, as a batch of one: the only place that knows how it is laid out."""
    with np.load(path, allow_pickle=False) as file:
        held = {name: torch.from_numpy(file[name]).unsqueeze(0) for name in file.files}
    pictures = held["pictures"].permute(0, 1, 4, 2, 3).float() / 255
    subject = Subject(
        speaker=(path.stem,),
        identity=held["identity"],
        expression=held["expression"],
        pose=held["pose"],
        camera=square_camera(pictures.shape[-1]).unsqueeze(0),
        light=torch.zeros(1, pictures.shape[1], 27),
        albedo=face.albedo.unsqueeze(0),
        footage=pictures,
        reference=pictures[:, 0],
    )
    return Clip(Speech(held["wave"]), Motion(subject.expression, Space.EXPRESSION), subject, Video(pictures))


def cut(clip: Clip, start: int, stop: int) -> Clip:
    """Some frames of a recording, with their sound."""
    subject, motion = clip.subject.at(torch.arange(start, stop)), clip.motion.values[:, start:stop]
    return Clip(clip.speech.part(start, stop), Motion(motion, clip.motion.space), subject, Video(subject.footage))


class Windows(Dataset[Clip]):
    """A window somewhere in each recording; `fit` seeds the draw."""

    def __init__(self, clips: list[Clip], window: int) -> None:
        self.clips, self.window = clips, window

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, at: int) -> Clip:
        start = int(torch.randint(self.clips[at].subject.frames - self.window + 1, ()))
        return cut(self.clips[at], start, start + self.window)


@DATA.register("npz")
class Npz(DataModule):
    """Recordings as `.npz` files in a folder; of each the last `holdout` frames are kept to validate and score."""

    def __init__(self, face: FaceModel, *, root: str, holdout: int = 25) -> None:
        super().__init__()
        self.face, self.root, self.holdout = face, Path(root), holdout

    def setup(self, stage: str) -> None:
        self.clips = [read(path, self.face) for path in sorted(self.root.glob("*.npz"))]
        if not self.clips:
            raise VisemixError(f"no .npz file in {self.root}")

    def train_dataloader(self) -> DataLoader[Clip]:
        begun = [cut(clip, 0, clip.subject.frames - self.holdout) for clip in self.clips]
        return DataLoader(Windows(begun, self.window), self.batch, num_workers=self.workers, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Clip]:
        ends = [cut(clip, clip.subject.frames - self.holdout, clip.subject.frames) for clip in self.clips]
        return DataLoader(ends, batch_size=None)


if __name__ == "__main__":
    _, recordings, clips = sys.argv
    toy = FACE.build({"name": "toy"})
    for file in sorted(Path(recordings).glob("*.npz")):
        write_example(Path(clips) / file.stem, read(file, toy), toy, {"source": {"name": file.name}})
