"""Whether lips and sound belong together, as SyncNet hears and sees it: offset, LSE-C and LSE-D.

Chung and Zisserman (2016) and Prajwal et al. (2020). A network trained on SyncNet's judgement beats real video on
these numbers, and a constant lag of up to 15 frames leaves LSE as it is: read them beside the offset and the real
video's row.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn import functional as F

from visemix.metrics.articulation import mouth_landmarks
from visemix.metrics.base import METRICS, NoScore, VideoSequence
from visemix.metrics.shown import Presentation
from visemix.metrics.weights import PretrainedMetric, PretrainedWeights, ReleasedFile
from visemix.nn.lipsync import CHUNK, ROWS, SIDE, WINDOW, SyncNet
from visemix.ops.mfcc import mfcc
from visemix.types import FPS, SAMPLES_PER_FRAME

RELEASED = ReleasedFile(
    "syncnet_v2.model",
    "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
    "robots.ox.ac.uk/~vgg/software/lipsync (see github.com/joonson/syncnet_python)",
)
REACH = 15  # frames to either side that are tried
SHORTEST = 4 * FPS  # frames; below, the zeros put in at the ends decide
ROWS_PER_FRAME = 4
SIXTEEN_BIT = 32768.0
FOREHEAD = 0.3  # of the landmarks' height, to reach up to where a face detector's box begins
BELOW, ACROSS = 1.8, 1.4  # half sides of the box by which a crop reaches under and beside its centre
GREY = 110  # level of what lies outside the picture
STEADY = 13  # frames of the median that steadies the box
CROP = "crop=mediapipe (box of the 68 landmarks and 0.3 of its height above; not calibrated against S3FD)"


@dataclass(frozen=True)
class SyncResult:
    """SyncNet's offset and distances of a clip.

    >>> apart = torch.full((31,), 12.0)
    >>> apart[18] = 7.5  # nearest with the sound moved by three frames
    >>> sync = SyncResult(-3, apart)
    >>> sync.lse_d, sync.lse_c, sync.at_zero
    (7.5, 4.5, 12.0)
    """

    offset: int  # frames; above 0 the sound is early
    distances: Float[Tensor, "31"]  # mean distance with the sound moved by −15 to 15 frames

    @property
    def by_offset(self) -> tuple[float, ...]:
        """Mean distance at each offset, from −15 to 15 frames."""
        return tuple(self.distances.flip(0).tolist())

    @property
    def lse_d(self) -> float:
        """LSE-D: the smallest of the distances."""
        return float(self.distances.min())

    @property
    def lse_c(self) -> float:
        """LSE-C, SyncNet's confidence: how far the smallest distance is below the median."""
        return float(self.distances.median() - self.distances.min())

    @property
    def at_zero(self) -> float:
        """Mean distance with the sound as recorded."""
        return float(self.distances[REACH])


def find_offset(video: Float[Tensor, "T D"], audio: Float[Tensor, "T D"]) -> SyncResult:
    """The lag at which embeddings of lips and of sound are nearest; beyond the ends there are zeros.

    >>> said = torch.randn(63, 8, generator=torch.Generator().manual_seed(0))
    >>> find_offset(said[3:], said[:60]).offset  # the sound is three frames late
    -3
    """
    padded = F.pad(audio, (0, 0, REACH, REACH))
    lags = [F.pairwise_distance(video, padded[k : k + len(video)]).mean() for k in range(2 * REACH + 1)]
    distances = torch.stack(lags)
    return SyncResult(REACH - int(distances.argmin()), distances)


def face_boxes(landmarks: Float[Tensor, "T 68 2"]) -> Float[np.ndarray, "T 3"]:
    """Centre and half side of each frame's face, steadied over time: near to what a face detector's boxes are."""
    points = landmarks.double().numpy()
    low, high = points.min(1), points.max(1)
    low[:, 1] -= FOREHEAD * (high[:, 1] - low[:, 1])
    boxes = np.column_stack([(low + high) / 2, (high - low).max(1) / 2])
    seen = np.flatnonzero(~np.isnan(boxes).any(1))
    frames = np.arange(len(boxes))
    filled = np.stack([np.interp(frames, seen, boxes[seen, column]) for column in range(3)], 1)
    return median_filter(filled, size=(STEADY, 1), mode="nearest")


def crop_face(picture: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, "3"]) -> UInt8[Tensor, "3 224 224"]:
    """The face as SyncNet's pipeline cuts it out, BGR: top of the box kept, room below the chin and at the sides.

    Raises:
        NoScore: the face lies outside the picture.
    """
    x, y, half = (float(value) for value in box)
    margin = int(np.ceil(half * (1 + 2 * (ACROSS - 1)))) + 1
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=GREY)
    top, bottom = int(y - half) + margin, int(y + BELOW * half) + margin
    left, right = int(x - ACROSS * half) + margin, int(x + ACROSS * half) + margin
    window = torch.from_numpy(padded[max(top, 0) : bottom, max(left, 0) : right, ::-1].copy()).permute(2, 0, 1)
    if 0 in window.shape:
        raise NoScore("a face lies outside the picture")
    resized = F.interpolate(window[None].float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
    return resized[0].round().to(torch.uint8)


def sixteen_bit(sound: Float[Tensor, " S"]) -> Float[np.ndarray, " S"]:
    """Samples in [-1, 1] as those of a 16-bit file, which SyncNet was trained on and is scored on by its authors: the
    logarithms of its features see what lies under their steps.

    >>> sixteen_bit(torch.tensor([0.4, 0.6, 40_000.0]) / 32_768).tolist()
    [0.0, 1.0, 32767.0]
    """
    return (sound.double() * SIXTEEN_BIT).round().clamp(-SIXTEEN_BIT, SIXTEEN_BIT - 1).numpy()


@lru_cache(maxsize=2)
def syncnet(weights: PretrainedWeights) -> SyncNet:
    """SyncNet with these weights, kept in memory."""
    return weights.load(SyncNet)


@torch.inference_mode()
def run_syncnet(net: SyncNet, sequence: VideoSequence) -> SyncResult:
    """`SyncResult` of a whole clip. Raises `NoScore` for one that it cannot judge."""
    if sequence.sound is None or sequence.pictures is None or sequence.landmarks is None:
        raise ValueError("sync needs sound, pictures and landmarks")
    if abs(sequence.fps - FPS) > 1e-3 * FPS:
        raise NoScore(f"{sequence.fps:.5g} frames a second; SyncNet knows {FPS} only: convert the video")
    frames = min(len(sequence.landmarks), len(sequence.sound) // SAMPLES_PER_FRAME)
    if frames < SHORTEST:
        raise NoScore(f"{frames} frames with sound; sync needs {SHORTEST} ({SHORTEST / FPS:g} s) or more")
    boxes = face_boxes(mouth_landmarks(sequence))
    crops = (crop_face(picture, box) for picture, box in zip(sequence.pictures(), boxes[:frames], strict=False))
    video = _embed_video(net, torch.stack(list(crops), 1))
    rows = torch.from_numpy(mfcc(sixteen_bit(sequence.sound))).float().mT
    windows = rows.unfold(1, ROWS, ROWS_PER_FRAME).permute(1, 0, 2).unsqueeze(1)[: frames - WINDOW]
    audio = torch.cat([net.embed_audio(batch) for batch in windows.split(CHUNK)])
    return find_offset(video[: len(audio)], audio[: len(video)])


def _embed_video(net: SyncNet, crops: UInt8[Tensor, "3 T 224 224"]) -> Float[Tensor, "n 1024"]:
    """Embeddings of all windows but the last, which the released code leaves out; floats are made chunk by chunk."""
    last = crops.shape[1] - WINDOW
    pieces = [crops[:, start : min(start + CHUNK, last) + WINDOW - 1] for start in range(0, last, CHUNK)]
    return torch.cat([net.embed_video(piece.float()) for piece in pieces])


class SyncMetric(PretrainedMetric):
    """Base of metrics from SyncNet's result for the fake; the real video is not looked at."""

    per = "clip"
    region = "face"
    needs = frozenset({"landmarks", "sound", "pictures"})
    compares = False

    def __init__(self, *, weights: str | None = None, sha256: str | None = None) -> None:
        super().__init__()
        self.weights = PretrainedWeights(RELEASED, weights, sha256)
        self.variant = f"SyncNet v2, {FPS} fps, ±{REACH} frames, {CROP}"

    def result(self, fake: VideoSequence) -> SyncResult:
        """What SyncNet says of the fake, found once for all metrics. Raises `NoScore` as `run_syncnet` does."""
        return fake.memoised("sync", lambda: run_syncnet(syncnet(self.weights), fake))

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row, the number. Raises `NoScore` where SyncNet cannot judge, or the number is unknown."""
        return torch.tensor([[self.number(self.result(fake))]], dtype=torch.float64)

    @abstractmethod
    def number(self, sync: SyncResult) -> float:
        """What the metric takes from SyncNet's result."""


@METRICS.register("av_offset")
class AvOffset(SyncMetric):
    """Frames by which the sound is early (below 0: late) where SyncNet finds lips and sound nearest."""

    unit = "frames"
    higher_is_better = None
    ideal = 0.0
    without_truth = True
    shown = Presentation(32, digits=2)

    def number(self, sync: SyncResult) -> float:
        """The offset in frames. Raises `NoScore` where it may lie beyond the furthest lag that was tried."""
        return float(_within_reach(sync.offset))


@METRICS.register("av_offset_abs")
class AvOffsetAbs(SyncMetric):
    """Size of the offset in frames: over several clips, early and late ones must not cancel out."""

    unit = "frames"
    higher_is_better = False
    shown = Presentation(36, headline=True, digits=2)

    def number(self, sync: SyncResult) -> float:
        """The offset's size in frames. Raises `NoScore` where it may lie beyond the furthest lag that was tried."""
        return float(abs(_within_reach(sync.offset)))


def _within_reach(offset: int) -> int:
    if abs(offset) == REACH:
        raise NoScore(f"the smallest distance is at the edge ({offset} frames): no offset to trust")
    return offset


@METRICS.register("lse_c")
class LseC(SyncMetric):
    """SyncNet's confidence: how much nearer lips and sound are at the best lag than at the median one."""

    unit = "1"
    higher_is_better = True
    without_truth = True
    shown = Presentation(30, headline=True, foreign=True)

    def number(self, sync: SyncResult) -> float:
        """The median distance less the smallest."""
        return sync.lse_c


@METRICS.register("lse_d")
class LseD(SyncMetric):
    """SyncNet's distance of lips and sound at the best lag."""

    unit = "1"
    higher_is_better = False
    without_truth = True
    shown = Presentation(
        31,
        over_lags="distance of lips and sound (SyncNet)",
        reading="SyncNet's mean distance with the sound moved. The place of the lowest point is the offset, its height "
        "is LSE-D, and how far it lies below the middle one is LSE-C.",
    )

    def number(self, sync: SyncResult) -> float:
        """The smallest mean distance."""
        return sync.lse_d

    def lags(self, fake: VideoSequence, real: VideoSequence) -> tuple[float, ...]:
        """The mean distances in the order of the offsets, from −15 to 15 frames."""
        return self.result(fake).by_offset


@METRICS.register("lse_d_at_0")
class LseDAtZero(SyncMetric):
    """SyncNet's distance of lips and sound as recorded: a lag shows here, which LSE-D hides."""

    unit = "1"
    higher_is_better = False

    def number(self, sync: SyncResult) -> float:
        """The mean distance with the sound as recorded."""
        return sync.at_zero
