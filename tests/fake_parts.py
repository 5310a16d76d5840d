"""A face tracker that follows bright blobs and a reconstructor that fits nothing: `prepare` without either's cost.

A plugin file: the tests import it, worker processes load it by its path. A picture whose corner is red kills the
process, as a crashing decoder would; a blue one is a bug.
"""

import os

import numpy as np
import torch
from scipy import ndimage

from visemix.prepare.fit import RECONSTRUCT, Fit, Reconstructor
from visemix.prepare.parser import PARSER, Parser
from visemix.prepare.track import TRACKER, Track, Tracker

TEMPLATE = np.random.default_rng(0).uniform(0, 1, (68, 2))
TEMPLATE[:2] = [[0, 0], [1, 1]]  # the points' box is the blob's


@TRACKER.register("blobs")
class Blobs(Tracker):
    """The k-th largest bright blob of every frame is face k. Never splits a track, however long the face is away."""

    def __call__(self, frames):
        tracks = {}
        for clock, picture in enumerate(frames):
            red, _, blue = (int(value) for value in picture[0, 0])
            if red > 150 > blue:
                os._exit(9)
            if blue > 150 > red:
                raise RuntimeError("a bug")
            labels, _ = ndimage.label(picture.min(-1) > 200)
            boxes = [(b.stop - b.start, r.stop - r.start, b.start, r.start) for r, b in ndimage.find_objects(labels)]
            boxes = sorted((box for box in boxes if min(box[:2]) > 3), reverse=True)
            for k, (width, height, x, y) in enumerate(boxes):
                tracks.setdefault(k, {})[clock] = TEMPLATE * [width, height] + [x, y]
        return [self._track(seen) for seen in tracks.values()]

    def _track(self, seen):
        first, last = min(seen), max(seen)
        present = np.array([k in seen for k in range(first, last + 1)])
        landmarks = [seen[max(j for j in seen if j <= k)] for k in range(first, last + 1)]
        return Track(first, present, np.stack(landmarks).astype(np.float32))


@PARSER.register("bright")
class Bright(Parser):
    """What is bright is head."""

    def __call__(self, pictures, landmarks):
        for picture, _ in zip(pictures, landmarks, strict=True):
            yield (picture.amin(0) > 200).byte() * 2


@RECONSTRUCT.register("still")
class Still(Reconstructor):
    """A face that never moves."""

    def __init__(self, face, *, shift: float = 0.0):
        self.face, self.shift = face, shift

    def __call__(self, tracked, progress=None):
        landmarks, size = tracked.landmarks, tracked.size
        assert tracked.frames([0, len(landmarks) - 1]).shape == (2, 3, size, size)
        if progress is not None:
            progress(1, 1)
        frames_, face = len(landmarks), self.face
        return Fit(
            identity=torch.zeros(face.identity.shape[-1]),
            expression=torch.zeros(frames_, face.expression.shape[-1]),
            pose=torch.full((frames_, 6), self.shift),
            camera=torch.tensor([100.0, size / 2, size / 2]),
            light=torch.zeros(frames_, 27),
            albedo=face.albedo,
            error=torch.zeros(frames_),
            reprojection_px=1.5,
            inner_mouth_px=0.75,
            mouth_opening_r=0.5,
        )
