"""Expected values: SyncNet's own code with weights made by a recipe (`oracles.py`)."""

import numpy as np
import pytest
import torch
from oracles import settle

from visemix.nn.lipsync import SyncNet

HEARD = [
    [-8.055130004882812, -42.23609161376953, 2.9701359272003174],
    [-12.906973838806152, -45.90012741088867, 7.99414587020874],
]
HEARD_LENGTH = [1671.83154296875, 1770.711181640625]
SEEN = [-415.5899963378906, 517.4136352539062, -275.5777587890625]
SEEN_LENGTH = 22044.75390625


@pytest.fixture(scope="module")
def net():
    return settle(SyncNet())


@torch.inference_mode()
def test_both_towers_answer_as_the_released_code_does(net):
    sound = torch.from_numpy((np.random.default_rng(100).standard_normal((2, 1, 13, 20)) * 10).astype(np.float32))
    lips = torch.from_numpy(np.random.default_rng(101).integers(0, 256, (2, 3, 5, 224, 224)).astype(np.float32))
    audio, video = net.embed_audio(sound), net.embed_video(lips[0])
    torch.testing.assert_close(audio[:, :3], torch.tensor(HEARD), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(audio.norm(dim=1), torch.tensor(HEARD_LENGTH), rtol=1e-4, atol=0)
    torch.testing.assert_close(video[0, :3], torch.tensor(SEEN), rtol=1e-4, atol=1e-4)
    assert video[0].norm().item() == pytest.approx(SEEN_LENGTH, rel=1e-4)


def test_its_weights_have_the_released_names_and_number(net):
    names = list(net.state_dict())
    assert len(names) == 102 and sum(p.numel() for p in net.parameters()) == 13_631_616
    assert {name.split(".")[0] for name in names} == {"netcnnaud", "netfcaud", "netfclip", "netcnnlip"}


@torch.inference_mode()
def test_one_pass_over_time_gives_every_windows_embedding(net):
    frames = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (3, 7, 224, 224)).astype(np.float32))
    apart = torch.cat([net.embed_video(frames[:, start : start + 5]) for start in range(3)])
    torch.testing.assert_close(net.embed_video(frames), apart, rtol=1e-5, atol=1e-2)
