"""Prepared clips that the tests write: everything in them tells which frame it is."""

import torch
from tiny_videos import beeps, grey

from visemix.data import write_clip


def make(path, face, frames=20, size=32, audio="speech", labels=None, **meta):
    """Frame k is grey k, its expression and pose are all k, its sound is loud where k % 5 == 0."""
    k = torch.arange(frames).float()
    tensors = {
        "wave": beeps(frames),
        "identity": torch.full((face.identity.shape[-1],), 0.5),
        "expression": k[:, None].expand(frames, face.expression.shape[-1]),
        "pose": k[:, None].expand(frames, 6),
        "camera": torch.tensor([145.0, size / 2, size / 2]),
        "light": k[:, None].expand(frames, 27),
        "albedo": face.albedo,
        "landmarks": torch.full((frames, 68, 2), size / 2),
        "error": torch.zeros(frames),
    }
    return write_clip(path, tensors, grey(frames, size), {"audio": audio, **meta}, face=face, labels=labels)
