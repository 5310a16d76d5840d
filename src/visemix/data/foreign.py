"""Examples that somebody else's data module makes, as clips on disk: what can be scored, or shared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from visemix.data.base import DataModule
from visemix.data.clips import ClipFolder
from visemix.data.clipwriter import write_clip
from visemix.data.metaschema import TORSO
from visemix.data.sound import is_silent
from visemix.data.windows import Span
from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d
from visemix.ops.camera import DISTANCE
from visemix.types import Clip, Subject, VisemixError

TENSORS = ("identity", "expression", "pose", "camera", "light", "albedo")


def write_example(
    path: str | Path,
    clip: Clip,
    face: FaceModel,
    meta: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> ClipFolder:
    """The clip folder that an example with pictures, alone in its batch, is written into, as `prepare` does.

    Its landmarks are those of the face model under the subject's own expression and pose. For what else a clip may
    have, and where landmarks were found otherwise, there is `write_clip`.

    Raises:
        VisemixError: it has no pictures, several people are in the batch, the coefficients are another face model's,
            or a head is not in front of the camera; or as `write_clip` does.
    """
    subject, speaker = clip.subject, clip.subject.speaker
    if clip.video is None or len(speaker) != 1:
        what = "no pictures" if clip.video is None else f"{len(speaker)} people in one batch"
        raise VisemixError(f"an example of {speaker[0]} has {what}; a clip is one person, with pictures")
    _check_against(face, subject, speaker[0])
    tensors = {name: getattr(subject, name) for name in TENSORS}
    tensors |= {"wave": clip.speech.wave, "landmarks": landmarks_2d(face, subject.expression, subject)}
    tensors |= {"error": subject.pose.new_zeros(subject.pose.shape[:2])}
    tensors |= {} if subject.torso is None else {TORSO: subject.torso}
    known = {"speaker": speaker[0], "audio": "silent" if is_silent(clip.speech.wave) else "speech"}
    pictures = clip.video.frames[0].clamp(0, 1).mul(255).round().byte()
    return write_clip(
        path,
        {name: tensor[0] for name, tensor in tensors.items()},
        pictures.cpu(),
        known | dict(meta or {}),
        face=face,
        labels=None if subject.labels is None else subject.labels[0].cpu(),
        overwrite=overwrite,
    )


def _check_against(face: FaceModel, subject: Subject, who: str) -> None:
    for name, basis in (("identity", face.identity), ("expression", face.expression)):
        given, width = getattr(subject, name).shape[-1], basis.shape[-1]
        if given != width:
            raise VisemixError(f"{who} has {given} {name} coefficients, face model '{face.name}' has {width}")
    nearest = float(subject.pose[..., 5].max())
    if nearest >= DISTANCE:
        raise VisemixError(
            f"the head of {who} is moved to z = {nearest:g} dm, behind the camera: it stands at z = {DISTANCE:g} and "
            "looks towards −z"
        )


def held_out_spans(data: DataModule, face: FaceModel, folder: Path | None) -> list[Span]:
    """The stretches that a data module which was set up keeps for validation.

    Of one that is not made of clips, each validation example is written to `folder` first, whatever its length, unless
    it is there.
    """
    if data.train_spans or data.val_spans:
        return list(data.val_spans)
    if folder is None:
        return []
    clips = []
    for number, clip in enumerate(_examples(data.val_dataloader())):
        path = folder / f"{re.sub(r'[^-.a-zA-Z0-9]', '-', clip.subject.speaker[0])}_{number:03}"
        clips.append(ClipFolder(path, face) if path.exists() else write_example(path, clip, face))
    return [Span(clip, 0, clip.frames) for clip in clips]


def _examples(batches: Any) -> Iterator[Clip]:
    """Each example of some batches, alone in its own."""
    for batch in batches:
        for at, speaker in enumerate(batch.subject.speaker):
            one = batch.map(lambda tensor, at=at: tensor[at : at + 1])
            yield replace(one, subject=replace(one.subject, speaker=(speaker,)))
