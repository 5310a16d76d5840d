"""Small studies for tests."""

import torch

from visemix.data import VideoWriter


def film(path, frames=10, shade=100, sound=True, size=48):
    """A short grey video with a silent sound track."""
    with VideoWriter(path, sound=torch.zeros(frames * 640) if sound else None, preset="ultrafast") as writer:
        for k in range(frames):
            writer.write(torch.full((3, size, size), shade + k, dtype=torch.uint8))
    return path


def films(folder, methods=("recorded", "ours", "theirs"), clips=("anna", "ben"), **options):
    """A folder of videos for each method, every one of another grey; the sources as the command line takes them."""
    for number, method in enumerate(methods):
        for clip in clips:
            film(folder / method / f"{clip}.mp4", shade=60 * number + 10, **options)
    return [f"{method}={folder / method}" for method in methods]
