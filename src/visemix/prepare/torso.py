"""How a torso moves over a clip: one similarity of the picture per frame, found by optical flow in its label.

Each frame is laid on the reference by what the frame before it was moved by, and dense inverse search (Kroeger et al.
2016) finds what is left. Everything is measured against the one reference, so nothing drifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt, gaussian_filter1d
from torch import Tensor

from visemix.prepare.appearance import Frames, Labels
from visemix.prepare.refine import one_core
from visemix.prepare.unwrap import opencv
from visemix.types import Label

FREE = 0.06  # of the side: this far from the head a pixel is surely not moved by it; nearer it counts less
PLAIN = 40.0  # change of brightness over a few pixels from which on flow is believed
SPOTS, FEWEST = 1500, 30  # where flow is read; with fewer of them nothing is known
ROUNDS = 2  # of laying a frame on the reference
FAR = 1 / 12  # of the side: longer flow is a mistake
OUTLIER = 1 / 256  # of the side: flow this far from the similarity counts half
STIFF = 3e-3  # how reluctantly scale and turn change from one frame to the next, where the shift says as much
CALM = 1.0  # frames: spread of the Gaussian mean over time
AT_ONCE = 20  # frames in memory


@torch.no_grad()
def torso_motion(
    frames: Frames,
    labels: Labels,
    camera: Float[Tensor, "3"],
    pose: Float[Tensor, "T 6"],
    present: Bool[Tensor, " T"],
    cut: int,
    step: Callable[[int], None] = lambda done: None,
) -> Float[Tensor, "T 4"]:
    """Motion of the torso in each frame, against one frame in which the head is as it mostly is.

    Args:
        frames, labels: give the pictures and the `Label`s of frames by their numbers.
        camera: focal length and centre, pixels.
        pose: of the head; says which frame is the reference.
        present: the frames with a face.
        cut: frames from here on are held out: they are followed by their own pictures, make no reference, and change
            nothing before them.
        step: is told how many frames are done.

    Returns:
        As `Subject.torso`; all zeros where too little of a torso with any pattern is seen.

    Raises:
        VisemixError: OpenCV, which finds the flow, is not installed.
    """
    known = present & (torch.arange(len(pose)) < cut)
    middle = pose[known].median(0).values
    apart = (pose - middle).norm(dim=1).masked_fill(~known, torch.inf)
    first = int(apart.argmin())
    cv = opencv()
    with one_core(cv):
        reference = _Reference(cv, frames([first])[0], labels([first])[0])
        if not reference.sees:
            return torch.zeros(len(pose), 4)
        moves = np.tile(np.eye(3), (len(pose), 1, 1))
        done = 0
        for order in (range(first, len(pose)), range(first, -1, -1)):
            move = np.eye(3)
            for k, picture, label in _read_frames(order, frames, labels):
                move = moves[k] = reference.register(picture, label, move)
                step(done := min(done + 1, len(pose)))
    numbers = _numbers(moves, camera.double().numpy())
    calm = np.concatenate([_smooth(numbers[:cut]), _smooth(numbers)[cut:]])
    return torch.from_numpy(calm).float()


def _smooth(numbers: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, "t 4"]:
    return gaussian_filter1d(numbers, CALM, axis=0, mode="nearest")  # type: ignore[no-any-return]


def _read_frames(order: range, frames: Frames, labels: Labels) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Frames in an order; read forwards, some at once, because a video is slow to go back in."""
    for start in range(0, len(order), AT_ONCE):
        some = sorted(order[start : start + AT_ONCE])
        read = list(zip(some, frames(some), labels(some), strict=True))
        yield from read if order.step > 0 else reversed(read)


class _Reference:
    """The frame that all others are laid on: its torso, and the spots of it at which flow is read."""

    def __init__(self, cv: Any, picture: UInt8[Tensor, "3 H W"], label: UInt8[Tensor, "H W"]) -> None:
        self.cv, self.grey = cv, _grey(cv, picture)
        self.size = len(self.grey)
        self.search = cv.DISOpticalFlow_create(cv.DISOPTICAL_FLOW_PRESET_FAST)
        torso = label.numpy() == Label.TORSO
        inside = cv.erode(torso.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
        across, down = (cv.Sobel(self.grey, cv.CV_32F, *order) for order in ((1, 0), (0, 1)))
        change = cv.GaussianBlur(np.hypot(across, down), (0, 0), self.size / 128)
        head = label.numpy() == Label.HEAD
        free = distance_transform_edt(~head) / (FREE * self.size) if head.any() else np.ones(head.shape)
        weight = (change / PLAIN - 0.05).clip(0, 1) * inside * free.clip(0, 1)
        spots = np.argwhere(weight > 0)
        spots = spots[:: max(1, len(spots) // SPOTS)]
        self.rows, self.columns = spots.T
        self.weight = weight[self.rows, self.columns]
        self.sees = len(spots) >= FEWEST
        if self.sees:
            self.centre = spots[:, ::-1].mean(0)
            x, y = (spots[:, ::-1] - self.centre).T / self.size
            one, none = np.ones_like(x), np.zeros_like(x)
            self.design = np.stack([one, none, x, -y, none, one, y, x], 1).reshape(-1, 2, 4)

    def register(self, picture: Tensor, label: Tensor, move: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """The move (pixels of the reference → of the picture) that is left after `move`, and that; `move` itself
        where too little is seen."""
        cv, side = self.cv, (self.size, self.size)
        grey, torso = _grey(cv, picture), (label.numpy() == Label.TORSO).astype(np.uint8)
        back = cv.WARP_INVERSE_MAP
        for _ in range(ROUNDS):
            laid = cv.warpAffine(grey, move[:2], side, flags=cv.INTER_LINEAR | back, borderMode=cv.BORDER_REPLICATE)
            there = cv.warpAffine(torso, move[:2], side, flags=cv.INTER_NEAREST | back)[self.rows, self.columns] > 0
            flow = self.search.calc(self.grey, laid, None)[self.rows, self.columns]
            weight = self.weight * there * (np.hypot(*flow.T) < FAR * self.size)
            if (weight > 0).sum() < FEWEST:
                return move
            move = move @ self._similarity(flow / self.size, weight)
        return move

    def _similarity(self, flow: Float[np.ndarray, "S 2"], weight: Float[np.ndarray, " S"]) -> Float[np.ndarray, "3 3"]:
        """The robust one (Cauchy) that a flow, in parts of the side, is nearest to; in pixels."""
        numbers, stiff = np.zeros(4), np.diag([0, 0, STIFF, STIFF])
        for _ in range(5):
            left = np.linalg.norm(flow - self.design @ numbers, axis=1)
            trust = weight / (1 + (left / OUTLIER) ** 2)
            rows = (self.design * (trust / trust.sum())[:, None, None]).reshape(-1, 4)
            numbers = np.linalg.solve(rows.T @ self.design.reshape(-1, 4) + stiff, rows.T @ flow.reshape(-1))
        right, down, scale, turn = numbers
        linear = np.array([[1 + scale, -turn], [turn, 1 + scale]])
        shift = self.size * np.array([right, down]) + self.centre - linear @ self.centre
        return np.block([[linear, shift[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])


def _grey(cv: Any, picture: UInt8[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W"]:
    return cv.cvtColor(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), cv.COLOR_RGB2GRAY)  # type: ignore[no-any-return]


def _numbers(moves: Float[np.ndarray, "T 3 3"], camera: Float[np.ndarray, "3"]) -> Float[np.ndarray, "T 4"]:
    """Similarities of pixels (the first one's centre at 0, y down) as those of the camera's plane (y up)."""
    linear, centre = moves[:, :2, :2], camera[1:] - 0.5
    shift = (linear @ centre + moves[:, :2, 2] - centre) / camera[0]
    size, turn = np.hypot(linear[:, 0, 0], linear[:, 1, 0]), np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    return np.stack([np.log(size), -turn, shift[:, 0], -shift[:, 1]], 1)
