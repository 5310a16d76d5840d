import pytest
import torch

from visemix.nn.bisenet import CLASSES, BiSeNet
from visemix.types import VisemixError


def weights(net):
    """Numbers that anyone can make again, of the size that keeps signals alive."""
    state = {}
    for name, tensor in net.state_dict().items():
        k = torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape)
        wave = (0.37 * k + len(name)).sin()
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
        elif tensor.ndim == 4:
            state[name] = (wave * (2 / tensor[0].numel()) ** 0.5).float()
        elif name.endswith(("running_var", "weight")):
            state[name] = (1 + 0.3 * wave).float()
        else:
            state[name] = (0.2 * wave).float()
    return state


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "79999_iter.pth"
    heads = {"conv_out16.conv_out.weight": torch.zeros(19, 64, 1, 1), "conv_out32.conv.bn.bias": torch.zeros(64)}
    torch.save(weights(BiSeNet()) | heads, path)
    return path


def test_names_and_number_of_its_weights_are_the_checkpoints():
    state = BiSeNet().state_dict()
    learnt = {name for name in state if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert sum(state[name].numel() for name in learnt) == 13_150_272
    assert {
        "cp.resnet.layer2.0.downsample.1.weight",
        "cp.arm16.conv_atten.weight",
        "cp.arm32.bn_atten.bias",
        "cp.conv_head32.conv.weight",
        "cp.conv_avg.bn.weight",
        "ffm.convblk.conv.weight",
        "ffm.conv2.weight",
        "conv_out.conv.bn.weight",
        "conv_out.conv_out.weight",
    } <= learnt
    assert not any("layer1.0.downsample" in name for name in learnt) and len(CLASSES) == 19


def test_scores_are_those_of_the_published_network(file):
    """Worked out once with the authors' own code on these weights."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    picture = torch.stack([(0.1 * x).sin(), (0.13 * y).cos(), (0.05 * (x + y)).sin()])[None] / 2 + 0.5
    with torch.inference_mode():
        scores = BiSeNet.from_file(file)(picture)
    assert scores.shape == (1, 19, 64, 96)
    torch.testing.assert_close(
        scores[0, [0, 3, 9, 18], [0, 20, 40, 63], [0, 50, 70, 95]],
        torch.tensor([-1.32440, 0.53830, -0.07757, 1.39912]),
        atol=1e-4,
        rtol=1e-4,
    )


def test_weights_of_another_network_are_refused_by_name(file, tmp_path):
    state = torch.load(file, weights_only=True)
    state["conv_out.conv_out.weight"] = torch.zeros(11, 256, 1, 1)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(VisemixError, match=r"is not BiSeNet's face parsing .'conv_out.conv_out.weight' does not fit"):
        BiSeNet.from_file(tmp_path / "other.pth")
