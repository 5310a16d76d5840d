import pytest
import torch

from visemix.face import FaceData, FaceModel
from visemix.face.layout import SIDE, align_224
from visemix.ops.camera import project, square_camera
from visemix.ops.rotation import pose_points
from visemix.prepare.fit import RECONSTRUCT, TrackedFace
from visemix.prepare.rnet import HEADS, ReconNet, crop, recentre
from visemix.types import VisemixError

SIZE = 256


@pytest.fixture(scope="module")
def basel(face):
    """The toy head with bases as wide as the Basel face's."""
    g = torch.Generator().manual_seed(0)
    count = len(face.mean)
    names = [name for name in FaceData.__dataclass_fields__ if hasattr(face, name)]
    data = {name: getattr(face, name) for name in names} | {"landmarks": face.landmark_ids, "name": "bfm"}
    data |= {"identity": 0.01 * torch.randn(count, 3, 80, generator=g)}
    data |= {"expression": 0.01 * torch.randn(count, 3, 64, generator=g)}
    data |= {"expression_range": torch.tensor([[-3.0, 3.0]]).repeat(64, 1)}
    data |= {"texture": 0.01 * torch.randn(count, 3, 80, generator=g), "expression_names": None}
    known = {name: value for name, value in data.items() if name in FaceData.__dataclass_fields__}
    return FaceModel(FaceData(**{k: v for k, v in known.items() if v is not None}))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """As Deep3DFaceRecon saves it: the network under its name, optimisers beside it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ReconNet()
    for head in net.final_layers:
        torch.nn.init.normal_(head.weight, std=0.02)
    path = tmp_path_factory.mktemp("rnet") / "epoch_20.pth"
    torch.save({"net_recon": net.state_dict(), "opt_00": {"state": {}, "param_groups": []}}, path)
    return path


def landmarks_in_view(face, frames=4):
    pose = torch.tensor([0.0, 0.1, 0.0, 0.3, -0.2, -1.0]).repeat(frames, 1)
    points = face.mean[face.landmark_ids].expand(frames, 68, 3)
    return project(pose_points(points, pose), square_camera(SIZE).expand(frames, 3))[..., :2]


def test_the_network_has_torchvisions_names_and_resnet_50s_size():
    with torch.device("meta"):
        state = ReconNet().state_dict()
    assert state["backbone.conv1.weight"].shape == (64, 3, 7, 7)
    assert state["backbone.layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["backbone.layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["backbone.layer4.2.bn3.num_batches_tracked"].shape == ()
    assert [state[f"final_layers.{i}.bias"].shape[0] for i in range(7)] == [80, 64, 80, 3, 27, 2, 1]
    backbone = sum(
        v.numel() for k, v in state.items() if k.startswith("backbone") and "running" not in k and "num" not in k
    )
    assert backbone == 25_557_032 - 2_049_000  # ResNet-50 less its classifier
    assert len([key for key in state if key.startswith("backbone")]) == 318


def test_a_stride_shrinks_in_the_3x3_convolution():
    with torch.device("meta"):
        block = ReconNet().backbone.layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.downsample[0].stride) == ((1, 1), (2, 2), (2, 2))


def test_a_clip_goes_through_the_users_checkpoint(basel, checkpoint):
    landmarks = landmarks_in_view(basel)
    g = torch.Generator().manual_seed(1)
    pictures = (torch.rand(4, 3, SIZE, SIZE, generator=g) * 255).byte()
    present = torch.tensor([True, True, False, True])
    told = []
    tracked = TrackedFace(landmarks, present, SIZE, lambda chosen: pictures[chosen])
    reconstruct = RECONSTRUCT.build({"name": "rnet", "weights": str(checkpoint), "batch": 3}, basel)
    fit = reconstruct(tracked, lambda *at: told.append(at))
    shapes = [
        tuple(getattr(fit, name).shape) for name in ("identity", "expression", "pose", "camera", "light", "error")
    ]
    assert shapes == [(80,), (4, 64), (4, 6), (3,), (4, 27), (4,)]
    assert fit.albedo.shape == basel.albedo.shape
    torch.testing.assert_close(fit.expression[2], (fit.expression[1] + fit.expression[3]) / 2)
    assert told == [(3, 4), (4, 4)]
    again = reconstruct(tracked)
    torch.testing.assert_close(again.identity, fit.identity, atol=0, rtol=0)


def test_frames_held_out_have_no_part_in_what_comes_before(basel, checkpoint):
    landmarks = landmarks_in_view(basel)
    pictures = (torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 255).byte()
    present = torch.tensor([True, False, True, True])
    reconstruct = RECONSTRUCT.build({"name": "rnet", "weights": str(checkpoint), "batch": 2}, basel)
    fits = []
    for _ in range(2):
        fits.append(reconstruct(TrackedFace(landmarks, present, SIZE, lambda chosen: pictures[chosen], cut=2)))
        pictures[2:] = 255 - pictures[2:]
    for once in ("identity", "albedo"):
        assert torch.equal(getattr(fits[0], once), getattr(fits[1], once))
    for timed in ("expression", "pose", "light"):
        assert torch.equal(getattr(fits[0], timed)[:2], getattr(fits[1], timed)[:2])
    assert not torch.equal(fits[0].expression[2:], fits[1].expression[2:])


def test_the_crop_camera_becomes_the_clips_without_moving_a_point(basel):
    g = torch.Generator().manual_seed(2)
    points = basel.mean[basel.landmark_ids].expand(5, 68, 3)
    pose = torch.cat([0.2 * torch.randn(5, 3, generator=g), 0.1 * torch.randn(5, 3, generator=g)], -1)
    new = square_camera(SIZE)  # focal length 1160

    def moved(old):
        wanted = project(pose_points(points, pose), old)[..., :2]
        got = project(pose_points(points, recentre(points, pose, old, new)), new.expand(5, 3))[..., :2]
        return (got - wanted).norm(dim=-1).mean(-1)

    near = torch.tensor([[1100.0, 90, 170], [1200, 128, 128], [1160, 140, 100], [1250, 110, 90], [1160, 160, 90]])
    assert moved(near).max() < 0.3
    assert moved(near * torch.tensor([1.6, 1, 1])).max() < 1.5  # nearer to the camera: another perspective
    torch.testing.assert_close(recentre(points, pose, new.expand(5, 3), new), pose, atol=1e-3, rtol=0)


def test_the_crop_shows_what_the_alignment_says(basel):
    landmarks = landmarks_in_view(basel, 1)
    align = align_224(landmarks, (SIZE, SIZE))
    picture = torch.zeros(1, 3, SIZE, SIZE)
    x, y = landmarks[0, 30].floor().long()
    picture[..., y - 2 : y + 3, x - 2 : x + 3] = 1
    cropped = crop(picture, align.camera())[0, 0]
    assert cropped.shape == (SIDE, SIDE)
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    centre = torch.stack([(columns * cropped).sum(), (rows * cropped).sum()]) / cropped.sum()
    at = align.to_crop(torch.stack([x + 0.5, y + 0.5])[None, None])[0, 0]
    torch.testing.assert_close(centre, at, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.pop("net_recon"), "no state dict under the key 'net_recon'"),
        (lambda saved: saved["net_recon"].pop("backbone.conv1.weight"), "lacks backbone.conv1.weight"),
        (lambda saved: saved["net_recon"].update(fc=torch.zeros(1)), "has fc, which is not ours"),
        (
            lambda saved: saved["net_recon"].update({"final_layers.0.bias": torch.zeros(99)}),
            r"final_layers.0.bias of shape \(99,\), not \(80,\)",
        ),
    ],
)
def test_another_networks_checkpoint_is_refused_by_what_differs(basel, checkpoint, tmp_path, change, message):
    saved = torch.load(checkpoint, weights_only=True)
    change(saved)
    torch.save(saved, tmp_path / "other.pth")
    with pytest.raises(VisemixError, match=message):
        RECONSTRUCT.build({"name": "rnet", "weights": str(tmp_path / "other.pth")}, basel)


def test_missing_or_broken_files_are_named(basel, tmp_path):
    with pytest.raises(VisemixError, match=r"no file .*epoch_20\.pth"):
        RECONSTRUCT.build({"name": "rnet", "weights": str(tmp_path / "epoch_20.pth")}, basel)
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(VisemixError, match=r"text\.pth is not a checkpoint"):
        RECONSTRUCT.build({"name": "rnet", "weights": str(tmp_path / "text.pth")}, basel)


def test_only_the_basel_face_has_the_networks_coefficients(face, checkpoint):
    assert HEADS[:3] == (80, 64, 80)
    with pytest.raises(VisemixError, match="choose the face 'bfm', or the reconstructor 'landmarks'"):
        RECONSTRUCT.build({"name": "rnet", "weights": str(checkpoint)}, face)
