"""Files of today's format, and what is read from them; besides, how a clip is made, fitted and gone through."""

import gzip
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from digests import digest, rounded
from frozen_parts import one_frame, stirred, toy, tree
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.data import ClipFolder
from visemix.face import draw, landmarks_2d
from visemix.generation import LoopedFootage
from visemix.ops.camera import square_camera
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.prepare import RECONSTRUCT, TrackedFace
from visemix.types import Subject

FILES = Path(__file__).parent / "files"
CLIP, PERIOD = "ada_000", 61
NERF = {"samples": 2, "cells": 4, "steps": 8, "levels": [4], "channels": 2, "width": 8, "ambient": 4, "shapes": 2}
NERF |= {"torso_levels": [4], "torso_width": 8, "rays": 32}
FLOW = {"channels": 4, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 4, "sync_windows": 16}
MODELS = {  # the parts of each checkpoint
    "mel-a2ep-taft": {
        "audio": {"name": "mel", "dim": 8},
        "motion": {"name": "a2ep", "dim": 8, "heads": 2, "feedforward": 8},
        "render": {"name": "taft", "base": 2, "max_channels": 4, "levels": 2, "precision": "float32"},
    },
    "mel-postnet-landmark_nerf": {
        "audio": {"name": "mel", "dim": 8},
        "motion": {"name": "postnet", "base": {"name": "flow_vae"} | FLOW, "sync_dim": 4, "sync_windows": 16},
        "render": {"name": "landmark_nerf"} | NERF,
    },
    "mel-regression-gaussians": {
        "audio": {"name": "mel", "dim": 8},
        "motion": {"name": "regression"},
        "render": {"name": "gaussians", "count": 60, "components": 2},
    },
}


def cases():
    found = {f"checkpoint/{name}": partial(read_model, name) for name in MODELS}
    return found | {"clip/read": read_clip, "clip/made": made_clip, "clip/fitted": fitted, "generation/order": order}


def make_missing():
    if not (FILES / CLIP).exists():
        with TemporaryDirectory() as folder:
            shutil.copytree(write_clip(Path(folder)), FILES / CLIP)
    for name in MODELS:
        if not packed(name).exists():
            write_model(name)


def write_model(name):
    """A checkpoint as `visemix fit` keeps one, of weights that repeat themselves so that the file packs well."""
    torch.manual_seed(0)
    model = stirred(TalkingFace.from_config({"face": {"name": "toy"}} | MODELS[name]))
    for weight in model.parameters():
        some = weight.data.flatten()[:PERIOD]
        weight.data.copy_(some.repeat(weight.numel() // PERIOD + 1)[: weight.numel()].view_as(weight))
    clip = ClipFolder(FILES / CLIP, model.face).clip(range(4))
    model.render.init_from_data([clip], [one_frame(clip, k) for k in range(4)])
    motion = model.face.convert(clip.motion, model.render.space, clip.subject)
    model.train().render.loss(motion, clip.subject, clip.video)  # some keep what they have seen
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.safetensors", trained=["motion", "render"])
        raw = (Path(folder) / "model.safetensors").read_bytes()
    packed(name).write_bytes(gzip.compress(raw, mtime=0))


def packed(name):
    return FILES / f"{name}.safetensors.gz"


def write_clip(folder):
    """One person, who speaks for a second; `folder` gets the clip `ada_000`."""
    words = ["--speakers", "1", "--minutes", "0.02", "--size", "32", "--synthesiser", "formants", "--seed", "3"]
    CliRunner().invoke(app, ["corpus", "--out", str(folder), *words], catch_exceptions=False)
    return folder / CLIP


def read_model(name):
    """The model in a file, and what it makes of the clip."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(gzip.decompress(packed(name).read_bytes()))
        state, notes = read_checkpoint(file)
        model = TalkingFace.from_checkpoint(file)
    footage = LoopedFootage(ClipFolder(FILES / CLIP, model.face), 6)
    speech = footage.clip.speech(0, 6)
    found = {"config": notes["config"], "face": notes["face"], "trained": notes["trained"], "eyes": model.eyes}
    found["stored"] = {
        "shapes": tree(state),
        "values": digest(torch.cat([x.flatten().double() for x in state.values()])),
    }
    whole = footage.subject(torch.arange(6))
    with torch.inference_mode():
        features = model.audio(speech)
        found["motion"] = digest(model.motion(features, whole).values)
        found["looking"] = digest(model.predict_motion(features, whole).values)
        model.eyes = "blinking"
        found["blinking"] = digest(model.predict_motion(features, whole).values)
        model.eyes = notes["config"]["eyes"]
        found["frames"] = [digest(video.frames) for video in model.stream(speech, footage, batch=2)]
    return found


def contents(folder):
    """All that a reader gets of a clip."""
    clip = ClipFolder(folder, toy())
    whole = clip.clip(range(clip.frames))
    subject = whole.subject
    fields = ("identity", "expression", "pose", "camera", "light", "albedo")
    found = {name: digest(getattr(subject, name)) for name in fields}
    about = {"speaker": clip.speaker, "audio": clip.audio, "frames": clip.frames, "size": clip.size}
    about |= {
        "holdout": str(clip.holdout),
        "lag": clip.lag,
        "lag_known": clip.lag_known,
        "seen": str(clip.visible_ranges),
    }
    said = [[rounded(start), rounded(end), sound] for start, end, sound in clip.phonemes()]
    return found | {
        "about": about,
        "phonemes": said,
        "sounds": clip.sounds(0, clip.frames).tolist(),
        "wave": digest(whole.speech.wave),
        "landmarks": digest(clip.tensor("landmarks")),
        "labels": clip.labels(range(clip.frames)).flatten().bincount(minlength=3).tolist(),
        "background": digest(clip.background()),
        "pictures": digest(clip.footage(range(0, clip.frames, 5))),
    }


def read_clip():
    return contents(FILES / CLIP)


def made_clip():
    with TemporaryDirectory() as folder:
        found = contents(write_clip(Path(folder)))
    # the encoder is FFmpeg's: of the pictures no more than what they look like
    clip = found.pop("pictures")
    return found | {
        "picture_shape": clip["shape"],
        "picture_level": rounded(clip["norm"] / math.prod(clip["shape"]) ** 0.5, 2),
    }


def fitted():
    """The face that is found again in a few frames by its landmarks and pictures."""
    face, size, frames = toy(), 64, 6
    g = torch.Generator().manual_seed(0)
    low, high = face.expression_range.T
    expression = low + (high - low) * 0.5 * torch.rand(1, frames, len(low), generator=g)
    pose = torch.zeros(1, frames, 6)
    pose[..., 1] = torch.linspace(-0.2, 0.2, frames)
    light = torch.tensor([0.05, -0.1, 0.25, 0.1, 0, 0, 0, 0, 0]).repeat(3).expand(1, frames, 27)
    identity = 0.5 * torch.randn(1, face.identity.shape[-1], generator=g)
    subject = Subject(("a",), identity, expression, pose, square_camera(size)[None], light, face.albedo[None])
    pictures = (draw(face, expression, subject, (size, size)).image[0] * 255).byte()
    points = landmarks_2d(face, expression, subject)[0]
    seen = torch.ones(frames, dtype=torch.bool)
    # "dense", the default, follows 8-bit optical flow, which differs with the number of threads
    fit = RECONSTRUCT.build({"name": "landmarks", "refine": "none"}, face)(
        TrackedFace(points, seen, size, lambda chosen: pictures[chosen])
    )
    again = replace(subject, identity=fit.identity[None], pose=fit.pose[None])
    found = {name: digest(getattr(fit, name)) for name in ("expression", "light", "albedo", "error")}
    # a search: where sums are taken in another order, it ends elsewhere by a thousandth; and what a turned head does,
    # another head may do as well, so that of the two only the points are held
    return {"within": 0.02, "landmarks": digest(landmarks_2d(face, fit.expression[None], again))} | found


def order():
    """Of which frames of the footage a video is made."""
    clip = ClipFolder(FILES / CLIP)
    inside = LoopedFootage(clip, 12, start=7, within=range(4, 9))
    return {
        "whole": LoopedFootage(clip, 60).order,
        "started": LoopedFootage(clip, 30, start=20).order,
        "within": inside.order,
    }
