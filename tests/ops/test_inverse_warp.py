import torch

from visemix.ops.inverse_warp import inverse_warp


def test_a_spot_takes_what_is_around_it_along_and_leaves_the_rest():
    torch.manual_seed(0)
    spots = torch.randn(2, 5, 3)
    moves = 0.1 * torch.randn(2, 5, 3)
    near = inverse_warp(spots, spots, moves, soft=1e-3, reach=1.0)
    torch.testing.assert_close(near, spots - moves, atol=1e-3, rtol=0)
    far = spots + 100
    torch.testing.assert_close(inverse_warp(far, spots, moves, soft=1e-3, reach=1.0), far)


def test_between_spots_that_part_space_is_pulled_both_ways():
    spots, moves = torch.tensor([[[0.0, 1, 0], [0.0, -1, 0]]]), torch.tensor([[[0.0, 0.5, 0], [0.0, -0.5, 0]]])
    line = torch.linspace(-1, 1, 9)[None, :, None] * torch.tensor([0.0, 1, 0])
    back = inverse_warp(line, spots, moves, soft=0.1, reach=2.0)[0, :, 1]
    torch.testing.assert_close(back, -back.flip(0))
    torch.testing.assert_close(back[-1], torch.tensor(0.5), atol=0.01, rtol=0)
    assert back[1:-1].abs().max() < 0.3  # what is between the spots was between them


def test_what_stands_still_carries_nothing():
    points = torch.randn(1, 7, 3)
    assert torch.equal(inverse_warp(points, torch.randn(1, 4, 3), torch.zeros(1, 4, 3), soft=0.1, reach=1.0), points)
