"""Distances that a trained network measures: FID, LPIPS and the likeness of faces. The weights are the user's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from kornia.geometry import warp_affine
from skimage.transform import SimilarityTransform
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.utilities import dim_zero_cat

from visemix.metrics.base import METRICS, FrameBatch, NoScore, VideoMetric, finite_rows
from visemix.metrics.region import FaceRegion
from visemix.metrics.shown import Presentation
from visemix.metrics.weights import PretrainedMetric, PretrainedWeights, ReleasedFile
from visemix.nn.arcface import SIDE, ArcFace, Depth
from visemix.nn.inception import FEATURES, Inception
from visemix.nn.inception import SIDE as INCEPTION_SIDE
from visemix.nn.lpips import Backbone, Features, Lpips, heads
from visemix.ops.frechet import frechet

INCEPTION = ReleasedFile(
    "pt_inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "the releases of github.com/mseitzer/pytorch-fid",
)
BACKBONES = {
    "alex": ReleasedFile(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "download.pytorch.org/models",
    ),
    "vgg": ReleasedFile("vgg16-397923af.pth", None, "download.pytorch.org/models"),
}
ARCFACE = ReleasedFile("backbone.pth", None, "the model zoo of insightface's arcface_torch")
ENOUGH = 2048  # frames, below which FID depends on their number more than on the pictures
TEMPLATE = np.array(  # where ArcFace's training faces have eyes, nose and corners of the mouth, of 112 pixels
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


@lru_cache(maxsize=4)
def inception(weights: PretrainedWeights) -> Inception:
    """The Inception network with these weights, kept in memory."""
    return weights.load(Inception)


@lru_cache(maxsize=4)
def lpips_net(net: Backbone, weights: PretrainedWeights) -> Lpips:
    """The LPIPS network with this backbone and its weights, kept in memory; its heads are torchmetrics'."""
    return Lpips(weights.load(lambda: Features(net), only="features."), heads(net)).eval()


@lru_cache(maxsize=4)
def arcface(depth: Depth, weights: PretrainedWeights) -> ArcFace:
    """The ArcFace network with these weights, kept in memory."""
    return weights.load(lambda: ArcFace(depth))


def inception_input(frames: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 299 299"]:
    """As pytorch-fid: bilinear to 299 without antialiasing, RGB in [-1, 1]."""
    size = (INCEPTION_SIDE, INCEPTION_SIDE)
    return 2 * F.interpolate(frames.float() / 255, size, mode="bilinear", align_corners=False) - 1


@METRICS.register("fid")
class Fid(PretrainedMetric):
    """Fréchet distance of Inception features between all fake and all real frames (Heusel et al. 2017).

    It shrinks as frames are added: compare only over the same number of frames, best 2 048 or more.
    """

    unit = "1"
    higher_is_better = False
    per = "set"
    variant = "Inception of 2015, pool3, bilinear 299 as pytorch-fid, N − 1"
    without_truth = True
    shown = Presentation(24, headline=True, foreign=True, digits=2)

    rows: list[Tensor]

    def __init__(self, *, weights: str | None = None, sha256: str | None = None) -> None:
        super().__init__(statistics=0)
        self.weights = PretrainedWeights(INCEPTION, weights, sha256)
        self.add_state("rows", [], dist_reduce_fx="cat")

    @torch.inference_mode()
    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Features of each frame, 2 048 of the fake's and then as many of the real one's."""
        net = inception(self.weights)
        return torch.cat([self._features(net, batch) for batch in (fake, real)], 1).clone()

    @staticmethod
    def _features(net: Inception, batch: FrameBatch) -> Tensor:
        return batch.memoised("inception", lambda: net(inception_input(batch.frames)))

    def score(self, rows: Float[Tensor, "T K"]) -> Float[Tensor, ""]:
        """Fréchet distance of the rows' two halves. Raises `NoScore` for fewer than two rows."""
        if len(rows) < 2:
            raise NoScore(f"FID needs two frames or more, not {len(rows)}")
        return frechet(rows[:, :FEATURES], rows[:, FEATURES:])

    def add(self, rows: Float[Tensor, "T K"]) -> None:
        """Keep the rows themselves (float32): the distance needs all of them, not their sum."""
        self.rows.append(finite_rows(rows).float())
        self.scored += len(self.rows[-1])

    def pooled(self) -> Float[Tensor, ""]:
        """Fréchet distance over all rows so far. Raises `NoScore` for fewer than two."""
        return self.score(dim_zero_cat(self.rows))

    def caution(self) -> str | None:
        """Of how many frames, and how far apart two halves of the real ones are: no fake can be expected below that."""
        frames = int(self.scored)
        if frames < 4:
            return None
        one, other = dim_zero_cat(self.rows)[:, FEATURES:].tensor_split(2)
        words = (
            f"of {frames} frames; the first and the second half of the real ones are {frechet(one, other):.1f} apart"
        )
        few = f"; below {ENOUGH} frames it tells more of their number than of the pictures"
        return words + few * (frames < ENOUGH)


@METRICS.register("lpips")
class LpipsDistance(PretrainedMetric):
    """Learned perceptual distance (Zhang et al. 2018), 0 for equal pictures."""

    unit = "1"
    higher_is_better = False

    def __init__(self, *, net: Backbone = "alex", weights: str | None = None, sha256: str | None = None) -> None:
        super().__init__()
        self.net = net
        self.weights = PretrainedWeights(BACKBONES[net], weights, sha256)
        self.variant = f"LPIPS 0.1, {net}, RGB in [-1, 1], native resolution"

    @torch.inference_mode()
    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Distance of each frame."""
        net = lpips_net(self.net, self.weights)
        return net.compare(self._features(net, fake), self._features(net, real)).clone().unsqueeze(1)

    def _features(self, net: Lpips, batch: FrameBatch) -> list[Tensor]:
        return batch.memoised(f"lpips {self.net}", lambda: net.embed(batch.frames.float() / 127.5 - 1))


def align(frame: UInt8[Tensor, "3 H W"], landmarks: Float[Tensor, "68 2"]) -> Float[Tensor, "3 112 112"]:
    """A face as ArcFace was trained on: eyes, nose and mouth in their places by a similarity, levels in [-1, 1]."""
    points = landmarks.double().cpu().numpy() - 0.5  # warp_affine counts pixel centres from 0
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    moved = SimilarityTransform.from_estimate(five, TEMPLATE)
    matrix = torch.from_numpy(moved.params[:2]).float().unsqueeze(0)
    return warp_affine(frame.float().unsqueeze(0), matrix, (SIDE, SIDE), align_corners=True)[0] / 127.5 - 1


def cosine_similarity(one: Float[Tensor, "N D"], other: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """Cosine of two faces' embeddings: 1 is the same person, about 0 are strangers, whatever the embeddings' lengths.

    >>> cosine_similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]]))  # 24 / 25
    tensor([0.9600])
    """
    return F.cosine_similarity(one, other)


@METRICS.register("csim")
class IdentitySimilarity(PretrainedMetric):
    """Cosine of two faces' ArcFace embeddings (Deng et al. 2019), frame by frame: 1 is the same person to it."""

    unit = "1"
    higher_is_better = True
    region = "face"
    needs = frozenset({"landmarks"})

    def __init__(self, *, depth: Depth = "r50", weights: str | None = None, sha256: str | None = None) -> None:
        super().__init__()
        self.depth = depth
        self.weights = PretrainedWeights(ARCFACE, weights, sha256)
        self.variant = f"ArcFace {depth}, 112×112 by five points, beside the real frame of the same number"

    @torch.inference_mode()
    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Cosine of each frame; NaN where either video shows no face in it."""
        return cosine_similarity(self._embedding(fake), self._embedding(real)).clone().unsqueeze(1)

    def _embedding(self, batch: FrameBatch) -> Tensor:
        return batch.memoised(f"arcface {self.depth}", lambda: self._embed(batch))

    def _embed(self, batch: FrameBatch) -> Float[Tensor, "T 512"]:
        if batch.landmarks is None:
            raise ValueError("the likeness of faces needs the landmarks of both videos")
        net = arcface(self.depth, self.weights)
        out = torch.full((len(batch.frames), 512), torch.nan)
        for t, points in enumerate(batch.landmarks):
            if not points.isnan().any():
                out[t] = net(align(batch.frames[t], points).unsqueeze(0))[0]
        return out


@METRICS.register("lpips_face")
def lpips_face(*, net: Backbone = "alex", weights: str | None = None, sha256: str | None = None) -> VideoMetric:
    """Learned perceptual distance of the face region."""
    return FaceRegion(LpipsDistance(net=net, weights=weights, sha256=sha256))
