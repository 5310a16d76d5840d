"""A prepared clip on disk: one folder, written whole or not at all.

meta.yaml           what it is, where it came from, how well it was fitted, in which frames no face is seen (`away`),
                    how many seconds at its end nothing was estimated from (`holdout`; .inf where all is known anyway),
                    how far its sound is from its lips (`lip_sync`, as `lipsync.py` says)
clip.safetensors    identity, expression, pose, camera, light, albedo, landmarks; the torso's motion where it is known
sound.flac          what is heard: 16 kHz mono, 16 bits
frames.mp4          the square pictures, any of which is found in a few steps; none if meta.yaml says `pictures: false`
labels.safetensors  which pixels are head, torso and background; only where that is known
background.png      the place without the person; with the labels
phonemes.csv        which sounds are spoken when; only where that is known
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from visemix.data.clipfiles import (
    BACKGROUND,
    FRAMES,
    LABELS,
    LANDMARK_UNITS,
    META,
    PHONEMES,
    PICTURES,
    SOUND,
    TENSORS,
    describe_face,
    face_words,
    find_clips,
    read_meta,
)
from visemix.data.framefile import FrameFile
from visemix.data.labels import LabelFile
from visemix.data.metaschema import TORSO, WANTED, check_tensors
from visemix.data.phonemes import phones_between, read_phonemes
from visemix.data.plate import read_plate
from visemix.face import FaceModel
from visemix.types import FPS, SAMPLES_PER_FRAME, Clip, Gallery, Motion, Space, Speech, Subject, Video, VisemixError

__all__ = ["NO_PICTURES", "PARSE", "UNKNOWN_WORDS", "ClipFolder", "find_clips"]

PARSE = "prepare it again with --scene mediapipe --overwrite"
NO_PICTURES = "has no pictures (visemix corpus --no-pictures): motion is learned from it, and nothing painted"
UNKNOWN_WORDS = f"has no {PHONEMES}: nobody knows which sounds are spoken in it; take clips of visemix corpus"


class ClipFolder:
    """A prepared clip, read as it is asked for; cheap to open, and safe to hand to data-loader workers.

    Frames are named by their number, 0 to `frames - 1`; everything comes as a batch of one.

    Args:
        path: the folder.
        face: the face model that its coefficients are to be used with; None asks nothing of them.

    Raises:
        VisemixError: no clip there, an unfinished or damaged one, or one fitted with another face model.
    """

    def __init__(self, path: str | Path, face: FaceModel | None = None) -> None:
        self.path = Path(path)
        self.meta = read_meta(self.path)
        self.has_pictures = bool(self.meta.get(PICTURES, True))
        for file in (TENSORS, FRAMES, SOUND) if self.has_pictures else (TENSORS, SOUND):
            if not (self.path / file).is_file():
                raise VisemixError(f"{self.path} lacks {file}; prepare the clip again with --overwrite")
        if face is not None:
            self._check_face(face)
        self.name = self.path.name
        self.frames = int(self.meta["frames"])
        self.size = int(self.meta["size"])
        self.speaker = str(self.meta["speaker"])
        self.audio = str(self.meta["audio"])  # "speech", "silent" or "none"
        self.fitted = "fit" in self.meta  # to a video, by `prepare`
        self.holdout = float(self.meta.get("holdout", 0.0))  # seconds at the end that nothing was estimated from
        self.lag = int(self.meta.get("lip_sync", {}).get("lag", 0))  # frames by which its sound is early; below 0, late
        sounds = self.audio == "speech" and "corpus" not in self.meta  # else there is nothing that could be early
        self.lag_known = not sounds or "lip_sync" in self.meta
        self.aligned = False  # whether `clip` moves the sound by the lag
        self.around: tuple[int, int] | None = None  # frames of sound before and after a window that `clip` adds to it
        # stretches in which the face was found
        self.visible_ranges = _complement(self.meta.get("away", []), self.frames)
        self.pictures = FrameFile(self.path / FRAMES)
        self.has_labels = (self.path / LABELS).is_file()
        self.has_background = (self.path / BACKGROUND).is_file()
        self.has_phonemes = (self.path / PHONEMES).is_file()
        self._checked = False  # whether the tensors are those that `meta` says
        self._background: Tensor | None = None
        self._gallery: tuple[list[int], Gallery] | None = None
        self._phonemes: list[tuple[float, float, str]] | None = None

    def speech(
        self, start: int = 0, frames: int | None = None, *, around: tuple[int, int] | None = None, lag: int = 0
    ) -> Speech:
        """The sound of `frames` frames from `start` on, by default to the end. Silence where the clip has none.

        Args:
            around: also the sound of so many frames before and after them.
            lag: take the sound for early by so many frames, and move it to where it belongs.
        """
        stop = self.frames if frames is None else start + frames
        self._check_frames([start, stop - 1])
        past, ahead = around or (0, 0)
        wave = self._sound(start - lag - past, stop - lag + ahead).unsqueeze(0)
        if around is None:
            return Speech(wave)
        parts = wave.split([n * SAMPLES_PER_FRAME for n in (past, stop - start, ahead)], 1)
        return Speech(parts[1], parts[0], parts[2])

    def _sound(self, start: int, stop: int) -> Float[Tensor, " S"]:
        """The sound of the frames `start` … `stop − 1`, with silence for those that the clip has not."""
        inside = [min(max(frame, 0), self.frames) for frame in (start, stop)]
        first, last = (frame * SAMPLES_PER_FRAME for frame in inside)
        try:
            wave, _ = soundfile.read(self.path / SOUND, start=first, stop=last, dtype="float32")
        except (soundfile.LibsndfileError, OSError) as error:
            raise VisemixError(f"{self.path / SOUND} is damaged ({error}); prepare the clip again") from error
        if len(wave) != last - first:
            raise VisemixError(f"{self.path / SOUND} breaks off; prepare the clip again with --overwrite")
        silence = ((inside[0] - start) * SAMPLES_PER_FRAME, (stop - inside[1]) * SAMPLES_PER_FRAME)
        return torch.nn.functional.pad(torch.from_numpy(wave), silence)

    def gallery(self, frames: Sequence[int]) -> Gallery:
        """`Gallery` of the face in some frames, kept in memory: the same ones are asked for again and again."""
        if self._gallery is None or self._gallery[0] != list(frames):
            index = self._check_frames(frames)
            self.check_pictures()
            with self._tensors() as file:
                expression, pose = (file.get_tensor(name)[index].unsqueeze(0) for name in ("expression", "pose"))
            pictures = self.pictures.frames(index.tolist()).contiguous().unsqueeze(0)
            self._gallery = list(frames), Gallery(pictures, expression, pose)
        return self._gallery[1]

    def subject(self, frames: Sequence[int], *, footage: bool = True, reference: int | None = None) -> Subject:
        """The person in some frames, in any order.

        Args:
            footage: also load the pictures, and what is known of the scene in them.
            reference: the number of the frame that renderers get as a picture of the subject.
        """
        index = self._check_frames(frames)
        low, high = int(index.min()), int(index.max()) + 1
        with self._tensors() as file:
            whole = {name: file.get_tensor(name) for name in ("identity", "camera", "albedo")}
            over = {name: file.get_slice(name)[low:high][index - low] for name in ("expression", "pose")}
            light = file.get_slice("light")
            still = light.get_shape()[0] == 1  # one for all frames
            over["light"] = light[:].expand(len(index), -1) if still else light[low:high][index - low]
            tracked = TORSO in file.keys()  # noqa: SIM118 — no mapping
            over[TORSO] = file.get_slice(TORSO)[low:high][index - low] if tracked else torch.zeros(len(index), 4)
        return Subject(
            speaker=(self.speaker,),
            **{name: value.unsqueeze(0) for name, value in (whole | over).items()},
            footage=self.footage(frames).unsqueeze(0) if footage else None,
            reference=None if reference is None else self.footage([reference]),
            labels=self.labels(frames).unsqueeze(0) if footage and self.has_labels else None,
            background=self.background().unsqueeze(0) if footage and self.has_background else None,
        )

    def clip(
        self, frames: Sequence[int], *, footage: bool = True, reference: int | None = None, sounds: bool = False
    ) -> Clip:
        """A window of consecutive frames, with its sound and its own motion: a training example.

        With `sounds`, also which are spoken in it.

        Raises:
            VisemixError: the frames are not consecutive, or something in the clip is NaN or infinite.
        """
        index = self._check_frames(frames)
        if not torch.equal(index, torch.arange(int(index[0]), int(index[0]) + len(index))):
            raise VisemixError(f"a window of {self.path} is consecutive frames, not {list(frames)[:5]} …")
        subject = self.subject(frames, footage=footage, reference=reference)
        video = None if subject.footage is None else Video(subject.footage)
        motion = Motion(subject.expression, Space.EXPRESSION)
        lag = self.lag if self.aligned else 0
        speech = self.speech(int(index[0]), len(index), around=self.around, lag=lag)
        for name, values in {"wave": speech.wave, "expression": motion.values, "identity": subject.identity}.items():
            if not values.isfinite().all():
                raise VisemixError(f"{self.path / TENSORS}: '{name}' is not a number somewhere; prepare the clip again")
        return Clip(speech, motion, subject, video, self.sounds(int(index[0]), len(index)) if sounds else None)

    def footage(self, frames: Sequence[int]) -> Float[Tensor, "n 3 size size"]:
        """Pictures of the frames, RGB in [0, 1].

        Raises:
            VisemixError: the clip was made without them (`has_pictures` tells).
        """
        self.check_pictures()
        pictures = self.pictures.frames(self._check_frames(frames).tolist())
        self._check_size(pictures, FRAMES)
        return pictures.contiguous().float().div_(255)

    def labels(self, frames: Sequence[int]) -> UInt8[Tensor, "n size size"]:
        """What each pixel shows, by the numbers of `types.Label`: 0 background, 1 torso, 2 head.

        Raises:
            VisemixError: the clip was made without them (`has_labels` tells).
        """
        if not self.has_labels:
            raise VisemixError(
                f"{self.path} has no {LABELS}: nobody has told head, torso and background apart in it; "
                f"{PARSE} (clips of visemix corpus have them)"
            )
        labels = LabelFile(self.path / LABELS).frames(self._check_frames(frames).tolist())
        self._check_size(labels, LABELS)
        return labels

    def background(self) -> Float[Tensor, "3 size size"]:
        """The background without the person, RGB in [0, 1]; what is never seen of it is made up, out of focus."""
        if self._background is None:
            self._background = read_plate(self.path / BACKGROUND)
        return self._background

    def phonemes(self) -> list[tuple[float, float, str]]:
        """What is spoken, from the first to the last second: start, end, and an IPA letter or "_" for a pause.

        Raises:
            VisemixError: nobody knows (`has_phonemes` tells).
        """
        if self._phonemes is None:
            if not self.has_phonemes:
                raise VisemixError(f"{self.path} {UNKNOWN_WORDS}")
            self._phonemes = read_phonemes(self.path / PHONEMES)
        return self._phonemes

    def sounds(self, start: int, frames: int) -> Int[Tensor, "1 P"]:
        """The sounds whose middle lies in these frames, by their numbers in `phonemes.VOCABULARY`, then 0.

        There is room for two in a frame.
        """
        said = phones_between(self.phonemes(), start / FPS, (start + frames) / FPS)[: 2 * frames]
        return torch.tensor([said + [0] * (2 * frames - len(said))])

    def tensor(self, name: str) -> Tensor:
        """A tensor of the clip by its name on disk: `landmarks` (T, 68, 2) in pixels of the pictures, `error` …"""
        if name == "wave":
            return self.speech().wave[0]
        with self._tensors() as file:
            value: Tensor = file.get_tensor(name)
        if name == "landmarks":
            return value.float() * (self.size / LANDMARK_UNITS)
        return value.expand(self.frames, -1) if name == "light" else value

    @contextmanager
    def _tensors(self) -> Iterator[Any]:
        try:
            with safe_open(str(self.path / TENSORS), "pt") as file:
                if not self._checked:
                    check_tensors(file, self.meta)
                    self._checked = True
                yield file
        except (SafetensorError, OSError, ValueError) as error:
            raise VisemixError(f"{self.path / TENSORS} is damaged ({error}); prepare the clip again") from error

    def _check_frames(self, frames: Sequence[int]) -> Tensor:
        index = torch.as_tensor(list(frames), dtype=torch.long)
        if len(index) == 0 or index.min() < 0 or index.max() >= self.frames:
            asked = f"{int(index.min())} to {int(index.max())}" if len(index) else "none"
            raise VisemixError(f"{self.path} has frames 0 to {self.frames - 1}; asked for {asked}")
        return index

    def _check_size(self, pictures: Tensor, name: str) -> None:
        if pictures.shape[-2:] != (self.size, self.size):
            raise VisemixError(f"{self.path / name} is not of {self.size}² pixels, as {META} says; {WANTED}")

    def check_pictures(self) -> None:
        """Raise a VisemixError where the clip was made without pictures."""
        if not self.has_pictures:
            raise VisemixError(f"{self.path} {NO_PICTURES}")

    def _check_face(self, face: FaceModel) -> None:
        have = self.meta["face"]
        asked = describe_face(face)
        if have != asked:
            raise VisemixError(
                f"{self.path} was fitted with the face model {face_words(have)}, not {face_words(asked)}; "
                f"use face={have['name']}, or prepare it again with --face {asked['name']}"
            )


def _complement(gaps: Sequence[Sequence[int]], frames: int) -> list[range]:
    """The ranges of frames between the gaps.

    >>> _complement([[3, 5]], 9)
    [range(0, 3), range(5, 9)]
    """
    edges = [0, *(edge for gap in gaps for edge in gap), frames]
    return [range(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
