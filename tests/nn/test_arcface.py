"""No released value is at hand: the same network written out by hand, in double precision, with weights by a recipe."""

import pytest
import torch
from oracles import settle
from torch.nn import functional as F

from visemix.nn.arcface import ArcFace

UNITS = {"r18": (2, 2, 2, 2), "r50": (3, 4, 14, 3)}


def by_hand(w, units, x):
    """insightface's iresnet from its published definition, without a module."""

    def norm(x, name):
        mean, var, scale, shift = (
            w[f"{name}.{part}"].reshape(1, -1, *[1] * (x.ndim - 2))
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def prelu(x, name):
        slope = w[f"{name}.weight"].reshape(1, -1, 1, 1)
        return torch.where(x > 0, x, slope * x)

    x = prelu(norm(F.conv2d(x, w["conv1.weight"], padding=1), "bn1"), "prelu")
    for layer, count in enumerate(units, 1):
        for unit in range(count):
            name, stride = f"layer{layer}.{unit}", 2 if unit == 0 else 1
            y = F.conv2d(norm(x, f"{name}.bn1"), w[f"{name}.conv1.weight"], padding=1)
            y = prelu(norm(y, f"{name}.bn2"), f"{name}.prelu")
            y = norm(F.conv2d(y, w[f"{name}.conv2.weight"], stride=stride, padding=1), f"{name}.bn3")
            if unit == 0:
                x = norm(F.conv2d(x, w[f"{name}.downsample.0.weight"], stride=2), f"{name}.downsample.1")
            x = x + y
    flat = norm(x, "bn2").flatten(1)
    return norm(flat @ w["fc.weight"].T + w["fc.bias"], "features")


@pytest.fixture(scope="module", params=UNITS)
def net(request):
    return request.param, settle(ArcFace(request.param))


@torch.inference_mode()
def test_embeddings_are_those_of_the_network_written_out_by_hand(net):
    depth, made = net
    faces = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(5)) * 2 - 1
    expected = by_hand(
        {name: value.double() for name, value in made.state_dict().items()}, UNITS[depth], faces.double()
    )
    found = made(faces)
    assert found.shape == (2, 512)
    torch.testing.assert_close(
        found.double() / expected.norm(dim=1, keepdim=True), F.normalize(expected), rtol=0, atol=1e-5
    )
    cosine = F.cosine_similarity(expected[:1], expected[1:])
    assert F.cosine_similarity(found[:1], found[1:]).item() == pytest.approx(cosine.item(), abs=1e-5)
    assert abs(cosine.item()) < 0.9999  # the two faces are told apart


def test_its_weights_have_insightfaces_names(net):
    names = list(net[1].state_dict())
    assert names[0] == "conv1.weight" and names[-1] == "features.num_batches_tracked"
    for name in ("prelu.weight", "layer1.0.bn1.weight", "layer1.0.downsample.1.running_var", "layer4.1.conv2.weight"):
        assert name in names
    assert not any("bias" in name for name in names if "conv" in name)
