"""Writing a clip: into a folder beside its place, which is moved there once it is whole."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile
import yaml
from jaxtyping import Float, UInt8
from safetensors.torch import save
from torch import Tensor

from visemix.data.clipfiles import (
    BACKGROUND,
    FORMAT,
    FRAMES,
    LABELS,
    LANDMARK_UNITS,
    META,
    PICTURES,
    SOUND,
    TENSORS,
    describe_face,
    speaker_of,
)
from visemix.data.clips import ClipFolder
from visemix.data.framefile import FrameFile
from visemix.data.labels import LabelFile, LabelWriter
from visemix.data.metaschema import TORSO
from visemix.data.plate import clean_plate, write_plate
from visemix.data.writer import VideoWriter
from visemix.face import FaceModel
from visemix.ops.locks import BEFORE, scratch
from visemix.ops.store import NOTHING, NotWritten, refuse_existing, settle, write_bytes, write_text
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VisemixError

BACKGROUND_FRAMES = 60  # of how many frames the plate is made at most


@contextmanager
def atomic_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Context: a folder to write into, renamed to `path` on success and removed on error.

    Raises:
        VisemixError: `path` exists, or the disk is full.
    """
    refuse_existing(path, overwrite)
    try:
        with scratch(path.parent) as place:
            part = place / path.name
            part.mkdir()
            yield part
            if path.exists():
                (place / BEFORE).mkdir()
                path.replace(place / BEFORE / path.name)
            settle(part, path)
    except (OSError, NotWritten) as error:  # of a file in it, at a place that nobody knows
        raise NotWritten(path, error, NOTHING) from error


def write_clip(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    pictures: Iterable[UInt8[Tensor, "3 H W"]],
    meta: Mapping[str, Any],
    *,
    face: FaceModel,
    labels: Iterable[UInt8[Tensor, "h w"]] | None = None,
    overwrite: bool = False,
) -> ClipFolder:
    """Write a clip as `prepare` does, from tensors at hand.

    Args:
        tensors: `wave` (640 T), `identity` (I), `expression` (T, E), `pose` (T, 6), `camera` (3), `light` (T, 27),
            `albedo` (N, 3), `landmarks` (T, 68, 2), `error` (T); where the torso's motion is known, `torso` (T, 4).
            The first seven mean what they do in `types.Speech` and `types.Subject`; landmarks and their error are in
            pixels of `pictures`, zeros where nobody has looked. An example (`types.Clip`) has them all: see
            `data.foreign.write_example`.
        pictures: T square ones, at 25 a second.
        meta: whatever else should stand in `meta.yaml`; `audio`, `speaker` and `holdout` have defaults. `holdout`:
            seconds at the end from which nothing was estimated, nor is the background; 0.
        labels: T pictures of `types.Label`, of the size of `pictures`, where it is known what every pixel shows.

    Raises:
        VisemixError: `path` exists, a tensor or the labels have another shape or are not finite, or the disk is full.
    """
    path = Path(path)
    with atomic_folder(path, overwrite) as part:
        write_pictures(part, pictures)
        if labels is not None:
            write_labels(part, labels)
        write_data(part, path.name, tensors, meta, face)
    return ClipFolder(path, face)


def write_pictures(part: Path, pictures: Iterable[UInt8[Tensor, "3 H W"]], *, causal: bool = False) -> None:
    """Write `frames.mp4` into the folder of an unfinished clip; `causal` as `VideoWriter` says."""
    with VideoWriter(part / FRAMES, seekable=True, causal=causal, crf=15) as out:
        for picture in pictures:
            out.write(picture)


def write_labels(part: Path, labels: Iterable[UInt8[Tensor, "h w"]]) -> None:
    """Write `labels.safetensors` into the folder of an unfinished clip."""
    with LabelWriter(part / LABELS) as out:
        for label in labels:
            out.write(label)


def write_data(
    part: Path,
    name: str,
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    face: FaceModel,
    background: UInt8[Tensor, "3 H W"] | None = None,
) -> None:
    """Write `clip.safetensors` and `meta.yaml` into the folder of an unfinished clip, which has its pictures (and
    labels).

    `background` where the place without the person is known; otherwise it is estimated where there are labels. A
    folder without pictures has `pictures` false in `meta`, and `size`, in whose pixels its landmarks are.

    Raises:
        VisemixError: a tensor or the labels have another shape, or are not finite.
    """
    rest: dict[str, Any] = {"format": FORMAT, "name": name, "speaker": speaker_of(name), "audio": "speech"}
    rest |= {"holdout": 0.0, "notes": []} | dict(meta)
    pictures = FrameFile(part / FRAMES)
    filmed = rest.get(PICTURES, True)
    frames = len(pictures) if filmed else len(tensors["expression"])
    size = pictures.frames([0]).shape[-1] if filmed else rest["size"]
    shapes = {
        "wave": (frames * SAMPLES_PER_FRAME,),
        "identity": (face.identity.shape[-1],),
        "expression": (frames, face.expression.shape[-1]),
        "pose": (frames, 6),
        "camera": (3,),
        "light": (frames, 27),
        "albedo": (len(face.mean), 3),
        "landmarks": (frames, 68, 2),
        "error": (frames,),
    } | ({TORSO: (frames, 4)} if TORSO in tensors else {})
    _check(name, tensors, shapes)
    if (part / LABELS).is_file():
        told = LabelFile(part / LABELS).shape
        if told != (frames, size, size):
            raise VisemixError(f"clip {name}: labels must have the shape {(frames, size, size)}, not {told}")
        if background is None:
            background = _background(part, frames - round(rest["holdout"] * FPS))
        write_plate(part / BACKGROUND, background)
    stored = {key: tensors[key].detach().float().contiguous().cpu() for key in shapes}
    write_bytes(part / SOUND, flac(stored.pop("wave")))
    stored["landmarks"] = (stored["landmarks"] * (LANDMARK_UNITS / size)).round().clamp(-32768, 32767).short()
    if (stored["light"] == stored["light"][0]).all():
        stored["light"] = stored["light"][:1].clone()
    write_bytes(part / TENSORS, save(stored))
    fixed = {"frames": frames, "fps": FPS, "size": size, "face": describe_face(face)}
    write_text(part / META, yaml.safe_dump(rest | fixed, sort_keys=False, allow_unicode=True))


def flac(wave: Float[Tensor, " S"]) -> bytes:
    """A waveform at 16 kHz as a FLAC file of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, wave.clamp(-1, 1).numpy(), SAMPLE_RATE, "PCM_16", format="FLAC")
    return file.getvalue()


def _check(name: str, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for key, shape in shapes.items():
        if key not in tensors or tuple(tensors[key].shape) != shape or not tensors[key].isfinite().all():
            have = f"{tuple(tensors[key].shape)}" if key in tensors else "nothing"
            raise VisemixError(f"clip {name}: '{key}' must be finite numbers of shape {shape}, not {have}")


def _background(part: Path, learned: int) -> UInt8[Tensor, "3 H W"]:
    """The background without the person, from some of the first `learned` frames."""
    pictures = FrameFile(part / FRAMES)
    some = range(0, learned, -(-learned // BACKGROUND_FRAMES))
    return clean_plate((pictures.frames([k])[0] for k in some), LabelFile(part / LABELS).frames(some))
