"""Expected values: the FID network's own code with weights made by a recipe (`oracles.py`)."""

import numpy as np
import pytest
import torch
from oracles import settle

from visemix.nn.inception import Inception

LENGTHS = {
    64: (5.395581245422363, 5.379359245300293),
    192: (12.878850936889648, 12.824731826782227),
    768: (56.28424835205078, 56.0361442565918),
    2048: (115.6329574584961, 115.1976547241211),
}
FIRST = {
    64: (0.7521094679832458, 0.31408172845840454, 0.09126860648393631),
    768: (0.014851956628262997, 1.6215859651565552, 2.421095132827759),
    2048: (4.308326721191406, 1.682252049446106, 0.0),
}
LOGITS = (0.0498652458190918, -1.42879319190979, -2.6870570182800293)


@pytest.fixture(scope="module")
def net():
    return settle(Inception())


def shrink(pictures, side):
    """TensorFlow 1's bilinear: corners aligned at the top left, no half pixels."""
    place = np.arange(side) * (pictures.shape[-1] / side)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, pictures.shape[-1] - 1)
    share = torch.from_numpy((place - low).astype(np.float32))
    rows = pictures[:, :, low] * (1 - share)[:, None] + pictures[:, :, high] * share[:, None]
    return rows[..., low] * (1 - share) + rows[..., high] * share


@torch.inference_mode()
def test_every_tap_answers_as_the_reference_does(net):
    pictures = torch.from_numpy(np.random.default_rng(102).integers(0, 256, (2, 3, 256, 256)).astype(np.float32))
    taps = net.taps((shrink(pictures, 299) - 128) / 128)
    for width, lengths in LENGTHS.items():
        torch.testing.assert_close(taps[width].norm(dim=1), torch.tensor(lengths), rtol=1e-5, atol=0)
    for width, first in FIRST.items():
        torch.testing.assert_close(taps[width][0, :3], torch.tensor(first), rtol=1e-4, atol=1e-5)
    unbiased = taps[2048] @ net.fc.weight.mT
    torch.testing.assert_close(unbiased[0, :3], torch.tensor(LOGITS), rtol=1e-4, atol=1e-4)


def test_its_weights_have_the_released_number(net):
    assert len(net.state_dict()) == 566
    assert sum(p.numel() for p in net.parameters()) == 23_850_960
