"""Expected values: lpips 0.1.4 with its own heads, over backbones whose weights a recipe made (`oracles.py`)."""

import numpy as np
import pytest
import torch
from oracles import settle

from visemix.nn.lpips import Features, Lpips, heads

EXPECTED = {"alex": (0.0034138041082769632, 0.003117144340649247), "vgg": (0.004614817909896374, 0.004515107721090317)}


@pytest.mark.parametrize("net", EXPECTED)
@torch.inference_mode()
def test_the_distance_is_that_of_the_reference(net):
    features = Features(net)
    settle(features.features)
    a = np.random.default_rng(103).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    b = np.clip(a + 0.1 * np.random.default_rng(104).standard_normal((2, 3, 64, 64)), -1, 1).astype(np.float32)
    distance = Lpips(features, heads(net))(torch.from_numpy(a), torch.from_numpy(b))
    torch.testing.assert_close(distance, torch.tensor(EXPECTED[net]), rtol=1e-4, atol=0)


def test_the_backbones_names_are_torchvisions():
    assert list(Features("alex").state_dict())[:4] == [f"features.{i}.{w}" for i in (0, 3) for w in ("weight", "bias")]
    assert len(Features("vgg").state_dict()) == 26
