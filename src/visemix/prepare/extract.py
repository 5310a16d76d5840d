"""One video → one clip: found, cropped, fitted, written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.data.clipfiles import FRAMES, LABELS, speaker_of
from visemix.data.clipwriter import atomic_folder, write_data, write_labels, write_pictures
from visemix.data.crop import crop_picture, head_box
from visemix.data.framefile import FrameFile
from visemix.data.labels import LabelFile
from visemix.data.media import VideoReader, probe
from visemix.data.metaschema import TORSO
from visemix.data.sound import is_silent, read_sound, whole_frames
from visemix.face import FaceModel
from visemix.ops.backends import version_of
from visemix.ops.store import sha256
from visemix.parts import answered
from visemix.prepare.fit import Fit, Reconstructor, TrackedFace
from visemix.prepare.lipsync import lip_sync, remarks
from visemix.prepare.parser import Parser
from visemix.prepare.shots import Thumbnail, find_cuts, thumbnail
from visemix.prepare.torso import torso_motion
from visemix.prepare.track import Track, Tracker, tracks_of
from visemix.types import FPS, SAMPLES_PER_FRAME, VisemixError

BRIDGE = 10  # frames a face may be away before the clip ends there
CUTS = 8  # times of them that are named
SHORTEST = 5  # frames in a clip
LEARNED = FPS  # frames with a face that must be left when some are held out

ProgressCallback = Callable[[str, int, int], None]  # a step's name, how many frames are done, of how many


def extract(
    video: Path,
    out: Path,
    face: FaceModel,
    tracker: Tracker,
    reconstruct: Reconstructor,
    size: int,
    *,
    parser: Parser | None = None,
    holdout: float = 2.0,
    overwrite: bool = False,
    parts: Mapping[str, Any] | None = None,
    on_progress: ProgressCallback = lambda *_: None,
) -> dict[str, Any]:
    """Make the clip folder `out` of a video: of its longest shot, where it has several; of a picture, a clip of one
    frame. Memory does not grow with its length, but for landmarks, thumbnails and sound.

    Nothing that the clip has once (identity, albedo, background) is estimated from its last `holdout` seconds; pose,
    expression and torso motion of their frames are found in their own pictures, never in sound. Only the square that is
    cut out, the same for all frames, is laid so that the head stays in it to the end. `parts` are the configs of those
    that made it, noted so that a clip made by others is not taken for this one.

    Returns:
        What stands in `meta.yaml`; its `notes` are worth showing.

    Raises:
        VisemixError: the file is no video, no face is in it, `out` exists, or the disk is full.
    """
    reader = VideoReader(video)
    shot, notes = _shot(video, reader, tracker, on_progress)
    start, stop, present = shot.start, shot.stop, shot.present
    box = head_box(shot.landmarks[present], reader.height, reader.width)
    wave, audio = _sound(video, start, stop, notes)
    points = torch.from_numpy(box.to_crop(shot.landmarks, size))
    mesh = None if shot.points is None else torch.from_numpy(box.to_crop(shot.points, size))
    cut_at = first_held_out(present, holdout)
    if holdout and cut_at == len(present) > 1:
        notes.append(
            f"it is too short to hold out {holdout:g} s: all of it is learned from, so scores on its end are not of "
            "footage never seen"
        )
    with atomic_folder(out, overwrite) as part:
        uncut = _with_progress(reader.between(start, stop), on_progress, "cropping", stop - start)
        write_pictures(part, (crop_picture(frame, box, size) for frame in uncut), causal=True)
        if parser is not None:
            pictures = FrameFile(part / FRAMES)
            labels = parser((pictures.frames([k])[0] for k in range(stop - start)), points)
            write_labels(part, _with_progress(labels, on_progress, "parsing the scene", stop - start))
        tracked = TrackedFace(
            points,
            torch.from_numpy(present),
            size,
            FrameFile(part / FRAMES).frames,
            cut=cut_at,
            points=mesh,
            labels=None if parser is None else LabelFile(part / LABELS).frames,
        )
        found = reconstruct(tracked, lambda done, steps: on_progress("fitting", done, steps))
        fit = answered(f"the reconstructor {type(reconstruct).__name__}", found, Fit)
        source = _source(video, start)
        spoken = {"lip_sync": lip_sync(points, present, wave, source["sha256"])} if audio == "speech" else {}
        notes += [note for found in spoken.values() for note in remarks(found)]
        meta = {
            "speaker": speaker_of(out.name),
            "seconds": (stop - start) / FPS,
            "audio": audio,
            "source": source,
            **spoken,
            "away": missing_frames(present),
            "crop": {"x": box.x, "y": box.y, "side": box.side},
            "holdout": (stop - start - cut_at) / FPS,
            "fit": _quality(fit),
            "notes": notes,
            "parts": dict(parts or {}),
            "tools": {name: version_of(name) for name in ("visemix", "av", "torch", "mediapipe")},
        }
        tensors = _tensors(fit, wave, points)
        if parser is not None:
            tensors |= _torso(part, fit, torch.from_numpy(present), cut_at, notes, on_progress)
        write_data(part, out.name, tensors, meta, face)
    return meta


def _shot(video: Path, reader: VideoReader, tracker: Tracker, on_progress: ProgressCallback) -> tuple[Track, list[str]]:
    """The track of the largest face over the frames that become the clip, and what is worth noting of it."""
    thumbnails: list[Thumbnail] = []

    def pictures() -> Iterator[np.ndarray]:
        for frame in _with_progress(iter(reader), on_progress, "finding the face", reader.frames):
            picture = frame.permute(1, 2, 0).numpy()
            thumbnails.append(thumbnail(picture))
            yield picture

    tracks = tracks_of(tracker, pictures())
    if not tracks:
        raise VisemixError(
            f"no face found in {video}; give a video in which one is seen from the front and large enough"
        )
    notes = list(reader.notes)
    cuts = find_cuts(thumbnails, tracks[0], reader.height, reader.width)
    start, stop = _visible_range(tracks[0], notes, tracks[1:], len(thumbnails), cuts)
    if len(thumbnails) == 1:
        notes.append("a still picture: somebody to speak in it, with nothing to learn from")
    elif stop - start < SHORTEST:
        raise VisemixError(f"the face in {video} is seen for {stop - start} frames only; {SHORTEST} are needed")
    return tracks[0].between(start, stop), notes


def _visible_range(
    track: Track, notes: list[str], others: list[Track], total: int, cuts: Sequence[int] = ()
) -> tuple[int, int]:
    """The longest run of frames of one shot in which the face is never away for more than `BRIDGE`."""
    seen = np.flatnonzero(track.present)
    another_shot = np.isin(seen[1:], np.array(cuts, int) - track.start)
    runs = np.split(seen, np.flatnonzero((np.diff(seen) > BRIDGE + 1) | another_shot) + 1)
    run = max(runs, key=len)
    start, stop = track.start + int(run[0]), track.start + int(run[-1]) + 1
    missing = stop - start - len(run)
    if cuts:
        times = ", ".join(f"{cut / FPS:.2f} s" for cut in cuts[:CUTS]) + (", …" if len(cuts) > CUTS else "")
        notes.append(f"the shot changes at {times}, perhaps to somebody else; the longest shot is kept")
    if missing:
        notes.append(f"the face is away for {missing} frames, which are interpolated and not trained on")
    if any(other.start < stop and other.stop > start for other in others):
        notes.append(f"{len(others) + 1} faces are seen; the larger is followed")
    if start > BRIDGE or stop < total - BRIDGE or len(runs) > 1:
        notes.append(
            f"the face is seen from {start / FPS:.2f} s to {stop / FPS:.2f} s of {total / FPS:.2f} s; "
            "the clip is cut to that"
        )
    return start, stop


def first_held_out(present: Bool[np.ndarray, " T"], holdout: float) -> int:
    """The frame from which on nothing is learned; the number of frames where too few would be left before it.

    >>> first_held_out(np.ones(100, bool), 2.0), first_held_out(np.ones(70, bool), 2.0)
    (50, 70)
    """
    cut = max(len(present) - round(holdout * FPS), 0)
    return cut if present[:cut].sum() >= LEARNED else len(present)


def missing_frames(present: Bool[np.ndarray, " T"]) -> list[list[int]]:
    """Each run of frames in which the face was not seen, as its first frame and the one after its last.

    >>> missing_frames(np.array([True, False, False, True, False]))
    [[1, 3], [4, 5]]
    """
    edges = np.flatnonzero(np.diff(~present, prepend=False, append=False))
    return edges.reshape(-1, 2).tolist()  # type: ignore[no-any-return]


def _sound(video: Path, start: int, stop: int, notes: list[str]) -> tuple[Float[Tensor, " S"], str]:
    """The clip's own stretch of sound, and what it is: `speech`, `silent` or `none`."""
    silence = torch.zeros((stop - start) * SAMPLES_PER_FRAME)
    if not probe(video).sound:
        return silence, "none"
    try:
        wave = read_sound(video)
    except VisemixError as error:  # still good as a target to render
        notes.append(f"its sound is not usable: {error}")
        return silence, "none"
    missing = stop - len(wave) // SAMPLES_PER_FRAME
    if missing > BRIDGE:
        notes.append(f"its sound ends {missing / FPS:.2f} s before its pictures; silence follows")
    wave = whole_frames(wave[start * SAMPLES_PER_FRAME :], stop - start)
    return wave, "silent" if is_silent(wave) else "speech"


def _source(video: Path, first: int) -> dict[str, Any]:
    info = probe(video)
    return {
        "name": video.name,
        "path": str(video.resolve()),
        "bytes": video.stat().st_size,
        "sha256": sha256(video),
        "fps": info.fps,
        "frames": info.frames,
        "width": info.width,
        "height": info.height,
        "first": first,  # the clip's frame 0, counted in frames at 25 a second
    }


def _quality(fit: Fit) -> dict[str, float | list[float]]:
    names = ("reprojection_px", "inner_mouth_px", "mouth_opening_r")
    quality: dict[str, float | list[float]] = {name: round(float(getattr(fit, name)), 4) for name in names}
    if fit.flow_px is not None:
        quality["flow_px"] = [round(left, 4) for left in fit.flow_px]
    return quality


def _tensors(fit: Fit, wave: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
    names = ("identity", "expression", "pose", "camera", "light", "albedo", "error")
    return {name: getattr(fit, name) for name in names} | {"wave": wave, "landmarks": landmarks}


def _with_progress(frames: Iterator[Tensor], on_progress: ProgressCallback, step: str, total: int) -> Iterator[Tensor]:
    for done, frame in enumerate(frames, 1):
        yield frame
        on_progress(step, min(done, total), total)


def _torso(
    part: Path, fit: Fit, present: Bool[Tensor, " T"], cut: int, notes: list[str], on_progress: ProgressCallback
) -> dict[str, Tensor]:
    def step(done: int) -> None:
        on_progress("following the torso", done, len(present))

    frames, labels = FrameFile(part / FRAMES).frames, LabelFile(part / LABELS).frames
    try:
        return {TORSO: torso_motion(frames, labels, fit.camera, fit.pose, present, cut, step)}
    except VisemixError as error:  # the clip is as good as it was before torsos were followed
        notes.append(f"its torso is not followed: {error}")
        return {}
