"""Deep3DFaceRecon's reconstruction network (Deng et al. 2019), for those who have its weights and the Basel face."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.ops.camera import DISTANCE, project, square_camera
from visemix.ops.rotation import matrix, matrix_to_euler, pose_points
from visemix.options import Count
from visemix.prepare.fit import RECONSTRUCT, Fit, ProgressCallback, Reconstructor, TrackedFace, summarise
from visemix.prepare.geometry import Geometry
from visemix.types import VisemixError

HEADS = (80, 64, 80, 3, 27, 2, 1)  # identity, expression, texture, angles, light, translation x y, z
ADVICE = "it is Deep3DFaceRecon's epoch_20.pth, see the Pre-trained model in its README"


class Bottleneck(nn.Module):
    """ResNet v1.5's block: the stride is in the 3 × 3 (He et al. 2016; torchvision's key names)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or width_in != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """The input, brought to the output's size where needed, plus what three convolutions make of it; rectified."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        around = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + around)


class ResNet50(nn.Module):
    """ResNet-50 without its classifier: the 2048 pooled features of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width_in = 64
        for i, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
            stride = 1 if i == 1 else 2
            layer = [Bottleneck(width_in, width, stride)]
            layer += [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{i}", nn.Sequential(*layer))
            width_in = 4 * width

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048 1 1"]:
        """The last feature map averaged over the picture."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return x.mean((2, 3), keepdim=True)


class ReconNet(nn.Module):
    """Reconstruction network: 224 × 224 faces, RGB in [0, 1] (no mean, no variance taken off), to the 257-vectors of
    `layout`."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, width, 1) for width in HEADS)

    def forward(self, pictures: Float[Tensor, "B 3 224 224"]) -> Float[Tensor, "B 257"]:
        """The coefficients of each face, the heads' in the order of the 257-vector."""
        features = self.backbone(pictures)
        return torch.cat([head(features).flatten(1) for head in self.final_layers], -1)


def read_weights(path: str | Path) -> ReconNet:
    """The network with the weights of a checkpoint, frozen.

    Raises:
        VisemixError: no such file, not a checkpoint, or not this network's.
    """
    path = Path(path)
    if not path.is_file():
        raise VisemixError(f"there is no file {path} to read the weights of 'rnet' from; {ADVICE}")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError, ValueError) as error:
        raise VisemixError(f"{path} is not a checkpoint of tensors ({str(error).splitlines()[0]}); {ADVICE}") from error
    if not isinstance(saved, dict) or not isinstance(saved.get("net_recon"), dict):
        raise VisemixError(f"{path} has no state dict under the key 'net_recon'; {ADVICE}")
    with torch.device("meta"):
        net = ReconNet()
    state = saved["net_recon"]
    wrong = _differences(state, net.state_dict())
    if wrong:
        more = f" and {len(wrong) - 1} more differences" if len(wrong) > 1 else ""
        raise VisemixError(f"{path}: its net_recon {wrong[0]}{more}; {ADVICE}")
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def _differences(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    lacking = [f"lacks {key}" for key in wanted if key not in state]
    foreign = [f"has {key}, which is not ours" for key in state if key not in wanted]
    shapes = [
        f"has {key} of shape {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    return lacking + foreign + shapes


@RECONSTRUCT.register("rnet")
class FromNetwork(Reconstructor):
    """Each frame through the reconstruction network, then one identity and texture for the clip.

    `weights` is the path of the user's `epoch_20.pth`. Only for the Basel face, whose coefficients it gives.

    Raises:
        VisemixError: the face model is not the Basel one, or as `read_weights`.
    """

    def __init__(self, face: FaceModel, *, weights: str, batch: Count = 16) -> None:
        widths = (face.identity.shape[-1], face.expression.shape[-1], face.texture.shape[-1])
        if widths != HEADS[:3]:
            raise VisemixError(
                f"reconstructor 'rnet' gives coefficients of the face model 'bfm' ({HEADS[:3]}), but '{face.name}' has "
                f"{widths}; choose the face 'bfm', or the reconstructor 'landmarks'"
            )
        self.face, self.batch, self.net = face, batch, read_weights(weights)

    @torch.no_grad()
    def __call__(self, tracked: TrackedFace, progress: ProgressCallback | None = None) -> Fit:
        """The fit by the network; `points` and `labels` are not looked at."""
        tracked.require_face()
        landmarks, present, size, cut = tracked.landmarks, tracked.present, tracked.size, tracked.cut
        align = layout.align_224(landmarks, (size, size))
        vectors = []
        for low in range(0, len(landmarks), self.batch):
            some = range(low, min(low + self.batch, len(landmarks)))
            vectors.append(self.net(crop(tracked.frames(list(some)).float() / 255, align.camera()[low : some.stop])))
            if progress:
                progress(some.stop, len(landmarks))
        found = torch.cat(vectors)
        whole = _interpolate_missing(found, present)
        whole[:cut] = _interpolate_missing(found[:cut], present[:cut])
        parts = layout.split_coefficients(whole)
        known = present.nonzero()[:, 0]
        known = known if cut is None else known[known < cut]
        identity, texture = parts["identity"][known].mean(0), parts["texture"][known].mean(0)
        pose = torch.cat([parts["angles"], parts["translation"]], -1)
        ids = self.face.landmark_ids
        points = self.face.mean[ids] + self.face.identity[ids] @ identity
        points = points + torch.einsum("pce,te->tpc", self.face.expression[ids], parts["expression"])
        pose = recentre(points, pose, align.camera(), square_camera(size))
        albedo = (self.face.albedo + self.face.texture @ texture).clamp(0, 1)
        geometry = Geometry(identity, parts["expression"], pose)
        light = _smooth_light(parts["light"])
        light[:cut] = _smooth_light(parts["light"][:cut])
        return summarise(self.face, geometry, light, albedo, landmarks, present, size)


def crop(pictures: Float[Tensor, "B 3 H W"], camera: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 224 224"]:
    """The squares in which each `camera` (focal length, centre x, y, in pixels) is the 224 × 224 camera."""
    half = camera[:, 0] * (layout.SIDE / 2 / square_camera(layout.SIDE)[0])
    fine = 2 * layout.SIDE  # sampled twice as fine and averaged: a face larger than 224 must not alias
    at = (torch.arange(fine) + 0.5) / fine * 2 - 1
    x = camera[:, 1, None, None] + half[:, None, None] * at[None, None].expand(-1, fine, -1)
    y = camera[:, 2, None, None] + half[:, None, None] * at[None, :, None].expand(-1, -1, fine)
    height, width = pictures.shape[-2:]
    grid = torch.stack([x / width, y / height], -1) * 2 - 1
    return F.avg_pool2d(F.grid_sample(pictures, grid, padding_mode="border", align_corners=False), 2)


def recentre(
    points: Float[Tensor, "T P 3"], pose: Float[Tensor, "T 6"], old: Float[Tensor, "T 3"], new: Float[Tensor, "3"]
) -> Float[Tensor, "T 6"]:
    """Poses under another camera such that the same points land on the same pixels as before.

    Turned by the angle between the two lines of sight, so that the camera sees the same side of the head; then the
    translation by linear least squares. Exact but for the change of perspective with the distance.
    """
    wanted = project(pose_points(points, pose), old)[..., :2]
    offset = (old[:, 1:] - new[1:]) * torch.tensor([1.0, -1.0]) / new[0]
    tilt = torch.stack([offset[:, 1].atan(), -offset[:, 0].atan(), torch.zeros(len(pose))], -1)
    turn = matrix(tilt) @ matrix(pose[:, :3])
    turned = points @ turn.mT
    rays = (wanted - new[1:]) * torch.tensor([1.0, -1.0]) / new[0]  # = (x + t_x) / (10 − z − t_z)
    ones, zeros = torch.ones_like(rays[..., 0]), torch.zeros_like(rays[..., 0])
    rows = [torch.stack([ones, zeros, rays[..., 0]], -1), torch.stack([zeros, ones, rays[..., 1]], -1)]
    depth = DISTANCE - turned[..., 2]
    beside = [rays[..., i] * depth - turned[..., i] for i in (0, 1)]
    left, right = torch.cat(rows, 1).double(), torch.cat(beside, 1).double().unsqueeze(-1)
    # `lstsq` would answer other last digits in one call of twenty, as the memory lies
    move = torch.linalg.solve(left.mT @ left, left.mT @ right).squeeze(-1)
    return torch.cat([matrix_to_euler(turn), move.to(pose.dtype)], -1)


def _interpolate_missing(vectors: Float[Tensor, "T 257"], present: Bool[Tensor, " T"]) -> Float[Tensor, "T 257"]:
    """Rows in which frames without a face have what lies between their neighbours."""
    known = present.nonzero()[:, 0]
    clock = torch.arange(len(present))
    after = torch.searchsorted(known, clock).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, clock, right=True) - 1).clamp(min=0)
    low, high = known[before], known[after]
    part = ((clock - low) / (high - low).clamp(min=1)).clamp(0, 1).unsqueeze(-1)
    return vectors[low] * (1 - part) + vectors[high] * part


def _smooth_light(light: Float[Tensor, "T 27"], width: float = 3.0) -> Float[Tensor, "T 27"]:
    """The light averaged over a Gaussian window: that of a room does not flicker."""
    reach = round(3 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    padded = F.pad(light.T.unsqueeze(1), (reach, reach), mode="replicate")  # (27, 1, T + 2 · reach)
    return F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T
