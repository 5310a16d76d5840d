import pytest
import torch
from torch import nn

from visemix.ops.resize import resize_parameter


def moved(steps=3):
    """Four rows that went their own ways for some steps of Adam."""
    weight = nn.Parameter(torch.zeros(4, 2))
    optimiser = torch.optim.AdamW([weight], lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        (weight * torch.tensor([[1.0], [2.0], [3.0], [4.0]])).square().sub(weight).sum().backward()
        optimiser.step()
    return weight, optimiser


@pytest.mark.parametrize("kept", [torch.tensor([3, 1]), torch.tensor([False, True, False, True])])
def test_rows_keep_their_numbers_and_what_the_optimiser_remembers_of_them(kept):
    weight, optimiser = moved()
    values, mean = weight.detach().clone(), optimiser.state[weight]["exp_avg"].clone()
    resize_parameter(optimiser, weight, kept, torch.full((3, 2), 9.0))
    assert torch.equal(weight, torch.cat([values[kept], torch.full((3, 2), 9.0)]))
    assert torch.equal(optimiser.state[weight]["exp_avg"], torch.cat([mean[kept], torch.zeros(3, 2)]))
    assert optimiser.state[weight]["exp_avg_sq"].shape == (5, 2) and optimiser.state[weight]["step"] == 3


def test_a_kept_row_moves_on_as_if_no_other_had_come_or_gone():
    alone, one = moved()
    among, other = moved()
    resize_parameter(other, among, torch.tensor([2]), torch.ones(1, 2))
    for weight, optimiser, row in ((alone, one, 2), (among, other, 0)):
        optimiser.zero_grad()
        weight[row].square().sum().backward()
        optimiser.step()
    assert torch.equal(alone[2], among[0])


def test_pruning_alone_leaves_no_rows_behind_and_drops_the_gradient():
    weight, optimiser = moved()
    resize_parameter(optimiser, weight, torch.tensor([0]))
    assert weight.shape == (1, 2) and weight.grad is None
