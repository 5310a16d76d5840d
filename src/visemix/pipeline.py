"""The whole of it: sound → features → motion → pictures."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.audio import AUDIO, AudioEncoder, Cached, listen
from visemix.data import ClipFolder, read_sound, whole_frames
from visemix.data.footage import pingpong
from visemix.data.windows import gallery_of
from visemix.face import FACE, FaceModel
from visemix.face.eyes import EYES, blinking, look
from visemix.motion import MOTION, MotionModel
from visemix.motion.base import stream
from visemix.ops.sequence import blocks, smooth
from visemix.ops.store import read_tensors, sha256, write_tensors
from visemix.registry import nearest
from visemix.render import RENDER, Renderer
from visemix.types import AudioFeatures, Motion, Space, Speech, Subject, Video, VisemixError

WEIGHTS = "model.safetensors"
SHIPPED = Path(__file__).with_name("weights")  # models that come with the library, each with a card
SHOWN = "shown"  # a checkpoint's note of whom a renderer that learns one person has learnt
PARTS = ("face", "audio", "motion", "render")
WRAPPED = r"^(motion|audio)(\.base|\.parts\.[^.]+)*\."  # what stands before the name of a weight in its own part


@runtime_checkable
class Target(Protocol):
    """Footage to talk over, at least as long as the speech; pieces of it are asked for as they are needed."""

    def subject(self, frames: Tensor, *, footage: bool = True) -> Subject: ...


class TalkingFace(nn.Module, ModelHubMixin, library_name="visemix", tags=["talking-face"]):
    """An audio encoder, a motion model and a renderer over one face model.

    `TalkingFace.from_pretrained(path)("speech.wav", "data/clips/anna").frames` are the pictures of anna saying it;
    `save_pretrained` and `push_to_hub` share a model.

    `config` is what `from_config` was given for each of them: a checkpoint carries it. `notes` is what else the
    checkpoint says that the model came from: `trained` and `loaded` name its stages.

    `eyes` says whose eyes and brows motion wears that came from sound, for every motion model, renderer and preset:
    "footage", what the target does under it; "blinking", the same, with blinks made where the target never closes its
    eyes, drawn from `blink_seed`; "driven", what the motion model says. Recorded motion keeps its own.
    """

    def __init__(self, face: FaceModel, audio: AudioEncoder, motion: MotionModel, render: Renderer) -> None:
        super().__init__()
        self.face, self.audio, self.motion, self.render = face, audio, motion, render
        self.eyes, self.blink_seed = EYES[0], 0
        self.config: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> TalkingFace:
        """Widths flow from stage to stage here, so no YAML file repeats one."""
        face = FACE.build(cfg["face"])
        audio = AUDIO.build(cfg["audio"])
        motion = MOTION.build(cfg["motion"], audio.dim, face)
        render = RENDER.build(cfg["render"], face)
        if render.space is Space.FEATURES:
            render.hear(audio.dim)
        model = cls(face, audio, motion, render)
        model.eyes = cfg.get("eyes", model.eyes)
        if model.eyes not in EYES:
            raise VisemixError(f"eyes={model.eyes} is nobody's{nearest(model.eyes, EYES)} (have: {', '.join(EYES)})")
        model.config = {part: plain(cfg[part]) for part in PARTS} | {"eyes": model.eyes}
        return model

    def stages(self) -> dict[str, nn.Module]:
        return {"audio": self.audio, "motion": self.motion, "render": self.render}

    def forward(self, audio: Speech | str | Path, target: Subject | str | Path) -> Video:
        """The target says what is heard. Either may be a file: any sound, and a clip folder that `prepare` wrote, which
        is gone through there and back again. All of it is in memory at once: for long speech there is `stream`."""
        speech = audio if isinstance(audio, Speech) else Speech(whole_frames(read_sound(audio))[None])
        subject = target if isinstance(target, Subject) else self.footage(target, speech.frames)
        features: AudioFeatures = self.audio(speech)  # (B, T, C)
        motion: Motion = self.move(features, subject)  # (B, T, D)
        return self.draw(motion, self.steadied(subject))  # (B, T, 3, H, W)

    @property
    def listening(self) -> bool:
        """Whether the renderer is driven by sound itself, and the motion model has no part in it."""
        return self.render.space is Space.FEATURES

    def steadied(self, subject: Subject) -> Subject:
        """With head poses as calm over time as the renderer wants them in use."""
        if not self.render.steady:
            return subject
        return replace(subject, pose=smooth(subject.pose, self.render.steady, math.ceil(3 * self.render.steady)))

    def footage(self, clip: str | Path, frames: int) -> Subject:
        """So many frames of a prepared clip, there and back again where it is shorter."""
        folder = ClipFolder(Path(clip), self.face)
        subject = folder.subject(pingpong(folder.frames, frames), reference=0)
        return replace(subject, gallery=gallery_of(folder, self.render.gallery))

    def move(self, features: AudioFeatures, subject: Subject) -> Motion:
        """What drives the renderer: the motion model's answer with the eyes that belong to it, or the features
        themselves where it listens to them."""
        if self.listening:
            return Motion(features.values, Space.FEATURES)
        return self.look(self.motion(features, subject), subject)

    def look(self, motion: Motion, subject: Subject, *, made: bool = True) -> Motion:
        """Motion that came from sound, with eyes and brows as `eyes` says, over the whole of the subject's footage.

        `made` allows for blinks that the footage has not: where pictures are compared with it, it must be False.
        """
        own = self._own(subject, motion.space, made)
        return motion if own is None else look(self.face, motion, own)

    def _own(self, subject: Subject, space: Space, made: bool = True) -> Motion | None:
        """The footage's motion; all of it at once, so that a frame's does not depend on how the sound is cut."""
        if self.eyes == "driven" or space is Space.FEATURES:
            return None
        made = made and self.eyes == "blinking"
        own = blinking(self.face, subject, self.blink_seed) if made else subject.expression
        return self.face.convert(Motion(own, Space.EXPRESSION), space, subject)

    def draw(self, motion: Motion, subject: Subject) -> Video:
        """Also the way in for motion that did not come from sound: ground truth, or another video's."""
        return self.render(self.face.convert(motion, self.render.space, subject), subject)

    @torch.inference_mode()
    def stream(self, speech: Speech, target: Target, *, batch: int = 4) -> Iterator[Video]:
        """The same, piece by piece: at most `batch` frames at a time are in memory, however long the speech."""
        still = target.subject(torch.arange(speech.frames), footage=False)
        pieces, space = self.pieces(speech, still)
        yield from self.paint(pieces, space, still, target, batch=batch)

    def pieces(self, speech: Speech, still: Subject) -> tuple[Iterator[Tensor], Space]:
        """What drives the renderer, as `move` answers it but piece by piece (B, n, D), and its space."""
        pieces, space = self.spoken(speech, still)
        own = self._own(still, space)
        return pieces if own is None else self._looking(pieces, own), space

    def spoken(self, speech: Speech, still: Subject) -> tuple[Iterator[Tensor], Space]:
        """The motion model's own answer, piece by piece: the eyes too are what it makes of the sound."""
        heard = self.listen(speech)
        if self.listening:
            return (piece.values for piece in heard), Space.FEATURES
        return (piece.values for piece in stream(self.motion, heard, still)), self.motion.space

    def _looking(self, pieces: Iterable[Tensor], own: Motion) -> Iterator[Tensor]:
        done = 0
        for piece in pieces:
            footage = Motion(own.values[:, done : done + piece.shape[1]], own.space)
            yield look(self.face, Motion(piece, own.space), footage).values
            done += piece.shape[1]

    def paint(
        self, pieces: Iterable[Tensor], space: Space, still: Subject, target: Target, *, batch: int = 4
    ) -> Iterator[Video]:
        """Pictures of a motion that comes in pieces (B, n, D); `still` is the target for as long, without footage."""
        poses, done, around = self.steadied(still).pose, 0, self.render.context
        for rows, first, last in blocks(pieces, batch, around, around):
            frames = torch.arange(done, done + last - first)
            ends = (around - first, around - (rows.shape[1] - last))  # the first and the last frames stand still
            motion = F.pad(rows.mT, ends, mode="replicate").mT if any(ends) else rows
            subject = target.subject(frames)
            yield self.draw(Motion(motion, space), replace(subject, pose=poses[:, frames]))
            done += len(frames)

    def listen(self, speech: Speech) -> Iterator[AudioFeatures]:
        """Features piece by piece, in bounded memory."""
        yield from listen(self.audio, speech)

    def save(self, path: str | Path, **notes: Any) -> None:
        """Weights and config as one safetensors file; `notes` (anything JSON holds) go with them."""
        parts = {part: carried(getattr(self, part), self.config[part]) for part in PARTS if part in self.config}
        config = {**parts, "eyes": self.eyes}
        state = {bare(name) if name.startswith("audio.") else name: value for name, value in self.state_dict().items()}
        write_tensors(Path(path), state, {"config": config, "face": self.face.name} | notes)

    def _save_pretrained(self, save_directory: Path) -> None:
        kept = {key: note for key, note in self.notes.items() if key not in ("config", "face")}
        self.save(save_directory / WEIGHTS, **kept)

    @classmethod
    def from_checkpoint(cls, path: str | Path, **parts: Mapping[str, Any] | str) -> TalkingFace:
        """The model in a file that `save` wrote, or in the run folder around it, in eval mode.

        `parts` replaces the config of a part where this machine differs, `face={"name": "ict", "path": …}`, or `eyes`.

        Raises:
            VisemixError: no such file, none of ours, or the weights belong to other parts.
        """
        state, notes = read_checkpoint(path)
        with without_advice():
            model = cls.from_config(notes["config"] | parts)
        if model.face.name != notes["face"]:
            raise VisemixError(f"{path} was trained with face model '{notes['face']}', not '{model.face.name}'")
        model.join(state, path, config=notes["config"])
        model.notes = notes
        return model.eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]  # what a part is built from takes the place of the hub's own options
        cls, name: str | Path, *, revision: str | None = None, **parts: Mapping[str, Any] | str
    ) -> TalkingFace:
        """As `from_checkpoint`, and where no such path exists, from the repository of that name on Hugging Face."""
        if Path(name).exists() or str(name).count("/") != 1:
            return cls.from_checkpoint(name, **parts)
        try:
            return cls.from_checkpoint(hf_hub_download(str(name), WEIGHTS, revision=revision), **parts)
        except (OSError, ValueError) as error:  # what the hub's client raises derives from these
            reason = str(error).splitlines()[0]
            raise VisemixError(f"'{name}' is neither a path nor a reachable model repository ({reason})") from error

    def join(
        self,
        state: Mapping[str, Tensor],
        source: str | Path,
        ours: Callable[[str], bool] = lambda _: True,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Take over the weights whose names `ours` picks, all of them. A wrapped part's fit its bare twin's.

        Raises:
            VisemixError: they belong to other parts or sizes; of `config`, what theirs were built from, it says which.
        """
        given = {bare(name): tensor for name, tensor in state.items() if ours(name)}
        own = {bare(name): (name, tensor) for name, tensor in self.state_dict().items() if ours(name)}
        if len(own) < sum(map(ours, self.state_dict())):
            raise VisemixError(
                f"two parts of one kind are wrapped around each other, and {source} cannot tell them apart"
            )
        wrong = sorted(given.keys() ^ own.keys()) or [n for n in own if own[n][1].shape != given[n].shape]
        if wrong:
            part = wrong[0].split(".")[0]
            other = _other_options(part, (config or {}).get(part, {}), self.config.get(part, {}))
            raise VisemixError(
                f"the weights in {source} belong to other parts or sizes ('{wrong[0]}' does not fit){other}"
            )
        self.load_state_dict({own[name][0]: tensor for name, tensor in given.items()}, strict=False)


def _other_options(part: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Those of their options that a part here has otherwise.

    >>> _other_options("render", {"count": 8000, "seed": 0}, {"count": 600, "seed": 0})
    '; there, render.count=8000'
    """
    other = [f"{part}.{key}={value}" for key, value in theirs.items() if ours.get(key) != value]
    return f"; there, {' '.join(other)}" if other else ""


def bare(name: str) -> str:
    """The name of a weight without the wrappers around its motion model or its audio encoder.

    >>> bare("motion.base.base.head.weight"), bare("audio.base.parts.mel.base.layers.0.weight")
    ('motion.head.weight', 'audio.parts.mel.layers.0.weight')
    """
    return re.sub(WRAPPED, lambda found: found[0].replace(".base", ""), name)


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights by name, and the notes beside them, of a file that `TalkingFace.save` wrote (or its folder); or of a
    model that comes with the library, by its name."""
    file = located(path)
    if not file.is_file():
        ours = ", ".join(sorted(own.stem for own in SHIPPED.glob("*.safetensors")))
        raise VisemixError(
            f"no trained model at {file}; give a run folder that `visemix fit` printed, or one of those that come with "
            f"the library: {ours}"
        )
    try:
        return read_tensors(file)
    except ValueError as error:
        raise VisemixError(f"{file} is no checkpoint that can be loaded: {error}") from error


def located(path: str | Path) -> Path:
    """The file that a run's folder, a checkpoint's path or the name of a model of the library (as it is, or `pinned`)
    stands for.

    Raises:
        VisemixError: the library's model of that name is another one now.
    """
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    name, _, wanted = path.name.partition("@")
    own = SHIPPED / f"{name}.safetensors"
    if not own.is_file() or str(path) != path.name or file.is_file():
        return file
    if wanted and wanted != stamp(own):
        raise VisemixError(
            f"{path} is asked for, and this version of the library brings {name}@{stamp(own)}: install the version "
            f"that brought it, or ask for {name}"
        )
    return own


def pinned(source: str) -> str:
    """A source of weights, and where that is a model of the library by name, what is in it: a later version may bring
    another under that name, and a run must not be taken for the same then.

    >>> pinned("runs/mine/1a2b3c4d"), pinned("starter").split("@")[0]
    ('runs/mine/1a2b3c4d', 'starter')
    """
    bare_name = source == Path(source).name and "@" not in source
    own = SHIPPED / f"{source}.safetensors"
    return f"{source}@{stamp(own)}" if bare_name and located(source) == own else source


@lru_cache
def stamp(file: Path) -> str:
    """Eight hex digits of a file's sha256."""
    return sha256(file)[:8]


@contextmanager
def without_advice() -> Iterator[None]:
    """What parts say about the weights they start from does not hold where a checkpoint replaces them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def carried(part: nn.Module, config: dict[str, Any]) -> dict[str, Any]:
    """The config of a part that is to be filled from a checkpoint: without the files that its weights came from.

    A part says in an attribute `carried` which options that changes; one that wraps another has it in `base`, one that
    joins several has them in `parts`. Keeping features on disk is for training: the encoder itself is carried.
    """
    if isinstance(part, Cached):
        return carried(part.base, config["base"])
    config = config | getattr(part, "carried", {})
    base, several = getattr(part, "base", None), getattr(part, "parts", {})
    if isinstance(base, nn.Module) and "base" in config:
        config = config | {"base": carried(base, config["base"])}
    if several:
        options = config["parts"] | {key: carried(one, config["parts"][key]) for key, one in several.items()}
        config = config | {"parts": options}
    return config


def plain(cfg: Any) -> Any:
    """An OmegaConf node or a mapping as plain dicts and lists."""
    return OmegaConf.to_container(cfg if OmegaConf.is_config(cfg) else OmegaConf.create(cfg), resolve=True)
