"""Where a video cuts to another shot: the face, brought to one place, looks otherwise from one frame to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import map_coordinates

from visemix.prepare.track import Track

CELLS, SAMPLES = 24, 4  # of a thumbnail a side, and pixels of the picture in each, each way
POINTS, AROUND = 10, 0.25  # at which a face is compared, each way; of its box, added on every side
FLAT = 3.0  # levels of 255: with less contrast there is nothing to compare
# 1 − correlation of two faces in one place. Of one person shaking the head as hard as anyone does it stays below 0.16
# from frame to frame, of nine people beside one another it is 0.25 to 1.5.
OTHER_FACE = 0.2
OTHER_SIZE, OTHER_PICTURE = 0.1, 0.1  # a jump of the face's size (log), and of the whole picture: the same face, nearer
STANDS_OUT = 3.0  # times what is usual in the frames about: where all is in motion nothing is said
LASTS = 3  # frames after a cut that must differ, too: a flash passes

Thumbnail = UInt8[np.ndarray, "24 24 3"]


def thumbnail(picture: UInt8[np.ndarray, "H W 3"]) -> Thumbnail:
    """A picture in so few cells that an hour of them is 150 MB."""
    rows, columns = (
        ((np.arange(CELLS * SAMPLES) + 0.5) * side / (CELLS * SAMPLES)).astype(int) for side in picture.shape[:2]
    )
    some = picture[rows][:, columns].reshape(CELLS, SAMPLES, CELLS, SAMPLES, 3)
    return some.mean((1, 3)).round().astype(np.uint8)


def find_cuts(thumbnails: Sequence[Thumbnail], track: Track, height: int, width: int) -> list[int]:
    """Frames of the video at which another shot begins while a face is followed.

    Args:
        thumbnails: of every frame of the video.
        height, width: of its pictures, in whose pixels the track is.
    """
    seen = np.flatnonzero(track.present)
    low, high = track.landmarks[seen].min(1), track.landmarks[seen].max(1)
    size = np.log((high - low).mean(1))
    margin = AROUND * (high - low)
    boxes = np.stack([low - margin, high + margin], 1) * CELLS / (width, height)
    pictures = [thumbnails[track.start + k] for k in seen.tolist()]

    def other_face(one: int, other: int) -> float:
        return _apart(_face(pictures[one], boxes[one]), _face(pictures[other], boxes[other]))

    def other_picture(one: int, other: int) -> float:
        return _apart(pictures[one].reshape(-1, 3).astype(float), pictures[other].reshape(-1, 3).astype(float))

    face, picture = _steps(other_face, len(seen)), _steps(other_picture, len(seen))
    away = np.diff(seen, prepend=seen[0]) > LASTS  # a head that was away for longer may have turned meanwhile
    nearer = np.abs(np.diff(size, prepend=size[0])) > OTHER_SIZE
    found = {
        k
        for k in range(1, len(seen))
        if _is_cut(face, k, OTHER_FACE * (1 + away[k]), other_face)
        or (nearer[k] and _is_cut(picture, k, OTHER_PICTURE, other_picture))
    }
    return [track.start + int(seen[k]) for k in sorted(found)]


def _steps(apart: Callable[[int, int], float], count: int) -> Float[np.ndarray, " T"]:
    """How far each frame is from the one before."""
    return np.array([0.0] + [apart(k - 1, k) for k in range(1, count)])


def _is_cut(steps: Float[np.ndarray, " T"], k: int, least: float, apart: Callable[[int, int], float]) -> bool:
    """Whether the step to frame `k` is large, larger than those about it, and no flash."""
    if steps[k] < least:
        return False
    about = np.r_[steps[max(1, k - 5) : max(1, k - 1)], steps[k + 2 : k + 6]]  # a cut may be spread over two frames
    if steps[k] < STANDS_OUT * about.max(initial=0.0) or steps[k] < steps[k - 1 : k + 2].max():
        return False
    return all(apart(k - 1, j) > least for j in range(k + 1, min(k + 1 + LASTS, len(steps))))


def _face(picture: Thumbnail, box: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "100 3"]:
    (left, top), (right, bottom) = box
    at = (np.arange(POINTS) + 0.5) / POINTS
    grid = np.meshgrid(top + (bottom - top) * at - 0.5, left + (right - left) * at - 0.5, indexing="ij")
    colours = [map_coordinates(picture[..., c].astype(float), grid, order=1, mode="nearest") for c in range(3)]
    return np.stack(colours, -1).reshape(-1, 3)


def _apart(one: Float[np.ndarray, "n 3"], other: Float[np.ndarray, "n 3"]) -> float:
    """1 − the correlation of two patches, however bright they are; 0 where one of them shows nothing."""
    a, b = ((patch - patch.mean(0)).ravel() for patch in (one, other))
    if min(a.std(), b.std()) < FLAT:
        return 0.0
    return 1 - float(a @ b / np.sqrt((a @ a) * (b @ b)))
