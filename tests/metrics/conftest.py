import hashlib

import av
import numpy as np
import pytest
import torch

KATIE_50 = "ade8f3591cee06ea3fed4fd0ada976d1419625b8bbf4adf9add6780f62afa276"  # sha256 of the decoded stack


@pytest.fixture(scope="session")
def katie(assets):
    """The first 50 frames of a real clip, (50, 512, 512, 3) uint8, decoded as the expected values were."""
    with av.open(str(assets / "clips/WDA_KatieHill_000.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(50), strict=False)]
    stack = np.stack(frames)
    if hashlib.sha256(stack.tobytes()).hexdigest() != KATIE_50:
        pytest.skip("this FFmpeg decodes to other pictures than the expected values were measured on")
    return stack


@pytest.fixture
def pair():
    """Six frames of noise and a noisier copy, 24×20 pixels, with landmarks that all lie inside: (fake, real)."""
    from visemix.metrics import FrameBatch

    g = torch.Generator().manual_seed(1)
    real = torch.randint(0, 256, (6, 3, 24, 20), generator=g, dtype=torch.uint8)
    noise = torch.randint(-9, 10, real.shape, generator=g)
    fake = (real.int() + noise).clamp(0, 255).to(torch.uint8)
    points = 2 + 16 * torch.rand(6, 68, 2, generator=g)
    return FrameBatch(fake, points + 0.1 * torch.randn(6, 68, 2, generator=g)), FrameBatch(real, points)
