import pytest
import torch

from visemix.nn.bisenet import BiSeNet
from visemix.prepare.parser import PARSER
from visemix.prepare.videos import prepare  # registers it, as the command does
from visemix.types import VisemixError

FAR = torch.full((68, 2), -100.0)  # a face that is nowhere in the picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights")
    torch.save(BiSeNet().state_dict(), path / "79999_iter.pth")
    return path


class Stripes(torch.nn.Module):
    """Column k of the picture shows class k."""

    def forward(self, image):
        column = torch.arange(image.shape[-1]) * 19 // image.shape[-1]
        return torch.eye(19)[column].T[None, :, None].expand(1, 19, *image.shape[-2:])


def test_nineteen_classes_become_background_torso_and_head(folder):
    parser = PARSER.build({"name": "bisenet", "weights": str(folder)})
    parser.net = Stripes()
    (labels,) = parser([torch.zeros(3, 38, 38, dtype=torch.uint8)], FAR[None])
    assert labels.shape == (38, 38) and labels.dtype == torch.uint8
    wanted = [0, *[2] * 13, 1, 1, 1, 2, 2]  # background; skin to lower lip; neck, necklace, cloth; hair, hat
    assert labels[10, 1::2].tolist() == wanted


def test_what_the_landmarks_enclose_is_head_whatever_the_network_says(folder, monkeypatch):
    monkeypatch.setenv("VISEMIX_WEIGHTS", str(folder))
    parser = PARSER.build({"name": "bisenet"})
    points = torch.rand(1, 68, 2) * 20 + 6
    points[0, 48:60] = torch.tensor([[12.0, 12], [20, 12], [20, 20], [12, 20]]).repeat_interleave(3, 0)
    (labels,) = parser([torch.randint(256, (3, 32, 32), dtype=torch.uint8)], points)
    assert (labels[13:19, 13:19] == 2).all()


def test_missing_weights_are_said_before_any_video_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("VISEMIX_WEIGHTS", str(tmp_path))
    with pytest.raises(VisemixError, match=rf"needs its weights at {tmp_path}/79999_iter.pth: it is"):
        prepare(["none.mp4"], tmp_path / "out", face="toy", tracker="mediapipe", scene="bisenet")
    assert not (tmp_path / "out").exists()
