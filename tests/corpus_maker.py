"""Recipes of small corpora, and what is measured in their clips."""

from dataclasses import replace
from pathlib import Path

from visemix.corpus.clip_specs import CorpusConfig
from visemix.ops.progress import Console
from visemix.types import Motion, Space

QUIET = Console(quiet=True)


def recipe(out, **changes):
    plain = CorpusConfig(Path(out), 2.0, 48, "en", None, "formants", {"name": "toy"}, seed=3)
    return replace(plain, **changes)


def opening(clip, face):
    """Distance between the inner lips of the mesh, decimetres."""
    subject = clip.subject(range(clip.frames), footage=False)
    points = face.landmarks(Motion(subject.expression, Space.EXPRESSION), subject)[0]
    return (points[:, 62] - points[:, 66]).norm(dim=-1).double().numpy()


def loudness(clip):
    return clip.speech().wave[0].unflatten(0, (-1, 640)).square().mean(1).sqrt().double().numpy()


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
