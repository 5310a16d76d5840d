"""The whole model: sound → features → motion → pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.audio import AUDIO, AudioEncoder, stream_features
from visemix.data import ClipFolder, read_sound, whole_frames
from visemix.data.footage import pingpong
from visemix.data.windows import gallery_of
from visemix.face import FACE, FaceModel
from visemix.face.eyes import EYES, blinking, transfer_eyes
from visemix.motion import MOTION, MotionModel
from visemix.motion.base import stream
from visemix.ops.budget import Budget, alike, building, refuse_extremes, refuse_not_numbers
from visemix.ops.checkpoint import WEIGHTS, laid_over, other_options, read_checkpoint
from visemix.ops.formats import CHECKPOINT
from visemix.ops.sequence import rechunk, smooth
from visemix.ops.state import preserve_rng
from visemix.ops.store import write_tensors
from visemix.parts import WeightNames, config_of, is_known, locate_parts, without_advice
from visemix.registry import Registry, portable
from visemix.render import RENDER, Renderer
from visemix.types import AudioFeatures, Motion, Space, Speech, Subject, Video, VisemixError
from visemix.values import did_you_mean

__all__ = ["TalkingFace", "Target", "read_checkpoint"]

SHOWN = "shown"  # a checkpoint's note of whom a renderer that learns one person has learnt
PARTS: dict[str, Registry[Any]] = {"face": FACE, "audio": AUDIO, "motion": MOTION, "render": RENDER}


@runtime_checkable
class Target(Protocol):
    """Footage to talk over, at least as long as the speech; pieces of it are asked for as they are needed."""

    def subject(self, frames: Tensor, *, footage: bool = True) -> Subject:
        """The subject over frames of these numbers (T,); `footage=False` may leave its pictures out."""


class TalkingFace(nn.Module, ModelHubMixin, library_name="visemix", tags=["talking-face"]):
    """An audio encoder, a motion model and a renderer over one face model.

    `TalkingFace.from_pretrained(path)("speech.wav", "data/clips/anna").frames` are the pictures of anna saying it;
    `save_pretrained` and `push_to_hub` share a model.

    `config` is what each of them was built from, by whomever: a checkpoint carries it. `notes` is what else the
    checkpoint says that the model came from: `trained` and `loaded` name its stages. A renderer that listens
    (`Space.FEATURES`) must have been told how wide the features are (`render.set_feature_dim`); `from_config` does.

    `eyes` says whose eyes and brows motion wears that came from sound, for every motion model, renderer and preset:
    "footage", what the target does under it; "blinking", the same, with blinks made where the target never closes its
    eyes, drawn from `blink_seed`; "driven", what the motion model says. Recorded motion keeps its own.
    """

    def __init__(self, face: FaceModel, audio: AudioEncoder, motion: MotionModel, render: Renderer) -> None:
        super().__init__()
        self.face, self.audio, self.motion, self.render = face, audio, motion, render
        self.eyes, self.blink_seed = EYES[0], 0
        self.notes: dict[str, Any] = {}

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> TalkingFace:
        """The model of a complete config, widths handed from part to part. Raises `VisemixError` for a bad one."""
        return cls._over(FACE.build(cfg["face"]), cfg)

    @classmethod
    def _over(cls, face: FaceModel, cfg: Mapping[str, Any]) -> TalkingFace:
        audio = AUDIO.build(cfg["audio"])
        motion = MOTION.build(cfg["motion"], audio.dim, face)
        render = RENDER.build(cfg["render"], face)
        if render.space is Space.FEATURES:
            render.set_feature_dim(audio.dim)
        model = cls(face, audio, motion, render)
        model.eyes = cfg.get("eyes", model.eyes)
        if model.eyes not in EYES:
            raise VisemixError(
                f"eyes={model.eyes} is nobody's{did_you_mean(model.eyes, EYES)} (have: {', '.join(EYES)})"
            )
        return model

    @property
    def config(self) -> dict[str, Any]:
        """Every part's name and options, and whose eyes it wears.

        Raises:
            VisemixError: a part that is in no registry.
        """
        parts = {part: registry.full(config_of(getattr(self, part))) for part, registry in PARTS.items()}
        return parts | {"eyes": self.eyes}

    def stages(self) -> dict[str, AudioEncoder | MotionModel | Renderer]:
        """Name → part, for the parts that may learn."""
        return {"audio": self.audio, "motion": self.motion, "render": self.render}

    @property
    def names(self) -> WeightNames:
        """`WeightNames` of this model: which part each weight belongs to."""
        return weight_names({part: config_of(stage) for part, stage in self.stages().items() if is_known(stage)})

    def forward(self, audio: Speech | str | Path, target: Subject | str | Path) -> Video:
        """The target says what is heard. Either may be a file: any sound, and a clip folder that `prepare` wrote, which
        is gone through there and back again. All of it is in memory at once: for long speech there is `stream`."""
        speech = audio if isinstance(audio, Speech) else Speech(whole_frames(read_sound(audio))[None])
        subject = target if isinstance(target, Subject) else self.footage(target, speech.frames)
        features: AudioFeatures = self.audio(speech)  # (B, T, C)
        motion: Motion = self.predict_motion(features, subject)  # (B, T, D)
        return self.draw(motion, self.smooth_poses(subject))  # (B, T, 3, H, W)

    @property
    def audio_driven(self) -> bool:
        """Whether the renderer is driven by sound itself, and the motion model has no part in it."""
        return self.render.space is Space.FEATURES

    def smooth_poses(self, subject: Subject) -> Subject:
        """The subject with its head poses smoothed over time, as much as the renderer wants."""
        if not self.render.pose_smoothing:
            return subject
        return replace(
            subject, pose=smooth(subject.pose, self.render.pose_smoothing, math.ceil(3 * self.render.pose_smoothing))
        )

    def footage(self, clip: str | Path, frames: int) -> Subject:
        """So many frames of a prepared clip, there and back again where it is shorter."""
        folder = ClipFolder(Path(clip), self.face)
        subject = folder.subject(pingpong(folder.frames, frames), reference=0)
        return replace(subject, gallery=gallery_of(folder, self.render.gallery))

    def predict_motion(self, features: AudioFeatures, subject: Subject) -> Motion:
        """Motion that drives the renderer: the motion model's, its eyes as `eyes` says; or the features
        themselves where the renderer listens to them."""
        if self.audio_driven:
            return Motion(features.values, Space.FEATURES)
        return self.apply_eyes(self.motion(features, subject), subject)

    def apply_eyes(self, motion: Motion, subject: Subject, *, made: bool = True) -> Motion:
        """Motion that came from sound, with eyes and brows as `eyes` says, over the whole of the subject's footage.

        `made` allows for blinks that the footage has not: where pictures are compared with it, it must be False.
        """
        own = self._footage_motion(subject, motion.space, made)
        return motion if own is None else transfer_eyes(self.face, motion, own)

    def _footage_motion(self, subject: Subject, space: Space, made: bool = True) -> Motion | None:
        """The footage's motion; all of it at once, so that a frame's does not depend on how the sound is cut."""
        if self.eyes == "driven" or space is Space.FEATURES:
            return None
        made = made and self.eyes == "blinking"
        own = blinking(self.face, subject, self.blink_seed) if made else subject.expression
        return self.face.convert(Motion(own, Space.EXPRESSION), space, subject)

    def draw(self, motion: Motion, subject: Subject) -> Video:
        """Video of any motion, that of ground truth or of another video too, over the subject."""
        return self.render(self.face.convert(motion, self.render.space, subject), subject)

    @torch.inference_mode()
    def stream(self, speech: Speech, target: Target, *, batch: int = 4) -> Iterator[Video]:
        """The video piece by piece: at most `batch` frames at a time are in memory, however long the speech."""
        still = target.subject(torch.arange(speech.frames), footage=False)
        pieces, space = self.stream_motion(speech, still)
        yield from self.stream_video(pieces, space, still, target, batch=batch)

    def stream_motion(self, speech: Speech, still: Subject) -> tuple[Iterator[Tensor], Space]:
        """Motion that drives the renderer, as `predict_motion` but piece by piece (B, n, D), and its space."""
        pieces, space = self.stream_speech_motion(speech, still)
        own = self._footage_motion(still, space)
        return pieces if own is None else self._stream_eyes(pieces, own), space

    def stream_speech_motion(self, speech: Speech, still: Subject) -> tuple[Iterator[Tensor], Space]:
        """The motion model's own motion, piece by piece (B, n, D), its eyes included, and its space."""
        features = self.stream_features(speech)
        if self.audio_driven:
            return (piece.values for piece in features), Space.FEATURES
        return (piece.values for piece in stream(self.motion, features, still)), self.motion.space

    def _stream_eyes(self, pieces: Iterable[Tensor], own: Motion) -> Iterator[Tensor]:
        done = 0
        for piece in pieces:
            footage = Motion(own.values[:, done : done + piece.shape[1]], own.space)
            yield transfer_eyes(self.face, Motion(piece, own.space), footage).values
            done += piece.shape[1]

    def stream_video(
        self, pieces: Iterable[Tensor], space: Space, still: Subject, target: Target, *, batch: int = 4
    ) -> Iterator[Video]:
        """Pictures of a motion that comes in pieces (B, n, D); `still` is the target for as long, without footage."""
        poses, done, around = self.smooth_poses(still).pose, 0, self.render.context
        for rows, first, last in rechunk(pieces, batch, around, around):
            frames = torch.arange(done, done + last - first)
            ends = (around - first, around - (rows.shape[1] - last))  # the first and the last frames stand still
            motion = F.pad(rows.mT, ends, mode="replicate").mT if any(ends) else rows
            subject = target.subject(frames)
            yield self.draw(Motion(motion, space), replace(subject, pose=poses[:, frames]))
            done += len(frames)

    def stream_features(self, speech: Speech) -> Iterator[AudioFeatures]:
        """Features piece by piece, in bounded memory."""
        yield from stream_features(self.audio, speech)

    def save(self, path: str | Path, **notes: Any) -> None:
        """Weights and config as one safetensors file; `notes` (anything JSON holds) go with them."""
        config, names = self.config, self.names
        config |= {part: stage.checkpoint_config(config[part]) for part, stage in self.stages().items()}
        config = portable(config, PARTS)
        state = {
            names.unwrapped(name) if name.startswith("audio.") else name: t for name, t in self.state_dict().items()
        }
        write_tensors(Path(path), state, {"config": config, "face": self.face.name} | notes | {"format": CHECKPOINT})

    def _save_pretrained(self, save_directory: Path) -> None:
        kept = {key: note for key, note in self.notes.items() if key not in ("config", "face")}
        self.save(save_directory / WEIGHTS, **kept)

    @classmethod
    def from_checkpoint(cls, path: str | Path, **parts: Mapping[str, Any] | str) -> TalkingFace:
        """The model in a file that `save` wrote, or in the run folder around it, in eval mode.

        `parts` says what this machine has, `face={"path": …}`, or names another part by a `name`, or `eyes`. Of itself
        a file says nothing about a machine: it names no other file, folder, network or environment.

        Raises:
            VisemixError: no such file, none of ours, or the weights belong to other parts.
        """
        state, notes = read_checkpoint(path)
        refuse_extremes(notes["config"], state, path)
        with building(path):
            config = laid_over(portable(notes["config"], PARTS), parts)
            face = FACE.build(config["face"])
        with building(path), Budget(state, path), without_advice(), preserve_rng():
            model = cls._over(face, config)
        if model.face.name != notes["face"]:
            raise VisemixError(f"{path} was trained with face model '{notes['face']}', not '{model.face.name}'")
        model.load_weights(state, path, notes["config"])
        model.notes = notes
        return model.eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]  # what a part is built from takes the place of the hub's own options
        cls, name: str | Path, *, revision: str | None = None, **parts: Mapping[str, Any] | str
    ) -> TalkingFace:
        """As `from_checkpoint`, errors too; without such a path, from the repository of that name on Hugging Face."""
        if Path(name).exists() or str(name).count("/") != 1:
            return cls.from_checkpoint(name, **parts)
        try:
            return cls.from_checkpoint(hf_hub_download(str(name), WEIGHTS, revision=revision), **parts)
        except (OSError, ValueError) as error:  # what the hub's client raises derives from these
            reason = str(error).splitlines()[0]
            raise VisemixError(f"'{name}' is neither a path nor a reachable model repository ({reason})") from error

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Let a renderer that grows take on the sizes that it has in a stored state of such a model."""
        own = {name.removeprefix("render."): tensor for name, tensor in state.items() if name.startswith("render.")}
        if self.render.grows and own.keys() == self.render.state_dict().keys():
            self.render.resize_to(own)

    def load_weights(
        self,
        state: Mapping[str, Tensor],
        source: str | Path,
        config: Mapping[str, Any],
        wanted: Callable[[str, WeightNames], bool] = lambda weight, names: True,
    ) -> None:
        """Take over weights from a model of this `config`: those that `wanted` picks, all of them. A wrapped part's fit
        its bare twin's.

        Raises:
            VisemixError: they belong to other parts or sizes; it says which options are other there.
        """
        self.resize_to(state)
        there, here, mine = weight_names(config), self.names, self.state_dict()
        given = {there.unwrapped(name): tensor for name, tensor in state.items() if wanted(name, there)}
        own = {here.unwrapped(name): (name, tensor) for name, tensor in mine.items() if wanted(name, here)}
        if len(own) < sum(wanted(name, here) for name in mine):
            raise VisemixError(f"two parts of one kind are wrapped around each other: {source} cannot tell them apart")
        wrong = sorted(given.keys() ^ own.keys()) or [n for n in own if not alike(own[n][1], given[n])]
        if wrong:
            part = wrong[0].split(".")[0]
            other = other_options(part, config.get(part, {}), self.config.get(part, {}))
            raise VisemixError(
                f"the weights in {source} belong to other parts or sizes ('{wrong[0]}' does not fit){other}"
            )
        refuse_not_numbers({name: tensor for name, (_, tensor) in own.items()}, given, source)
        self.load_state_dict({own[name][0]: tensor for name, tensor in given.items()}, strict=False)


def weight_names(config: Mapping[str, Any]) -> WeightNames:
    """`WeightNames` of a model of this config."""
    learns = {part: registry for part, registry in PARTS.items() if part != "face" and part in config}
    return WeightNames(
        place for part, registry in learns.items() for place in locate_parts(registry, config[part], part)
    )
