import math

import torch

from visemix.ops.encoding import positional_encoding, spherical_harmonics


def test_waves_double_their_frequency_without_pi():
    x = torch.tensor([0.3])
    expected = [0.3, math.sin(0.3), math.cos(0.3), math.sin(0.6), math.cos(0.6)]
    torch.testing.assert_close(positional_encoding(x, 2), torch.tensor(expected))


def test_the_sphere_has_nine_functions_and_the_pole_is_known():
    assert spherical_harmonics(torch.tensor([0.0, 0.0, 1.0])).tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 2]
