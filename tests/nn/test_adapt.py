import pytest
import torch

from visemix.nn.adapt import FrameCritic, Refiner

ROWS = torch.randn(2, 40, 204, generator=torch.Generator().manual_seed(0))


def sizes(module):
    return sum(p.numel() for p in module.parameters())


def test_both_nets_have_the_official_sizes():
    assert sizes(Refiner(204, (128, 256), "batch", 0.2, still=False)) == 796_620
    assert sizes(FrameCritic(204)) == 158_080


@pytest.mark.parametrize("norm", ["batch", "row"])
def test_a_frame_sees_seven_to_either_side(norm):
    torch.manual_seed(0)
    net = Refiner(204, (16, 16), norm, 0.2, still=False).eval()
    rows = ROWS[:1].clone().requires_grad_()
    net(rows)[0, 20].sum().backward()
    touched = (rows.grad[0].abs().sum(-1) > 0).nonzero().flatten().tolist()
    assert touched == list(range(13, 28))


def test_it_may_start_as_the_identity():
    assert torch.equal(Refiner(204, (16, 16), "row", 0.2, still=True)(ROWS), ROWS)
    assert not torch.equal(Refiner(204, (16, 16), "row", 0.2, still=False)(ROWS), ROWS)


def test_row_norm_knows_neither_batch_nor_time():
    torch.manual_seed(0)
    net = Refiner(204, (16, 16), "row", 0.2, still=False)
    torch.testing.assert_close(net(ROWS)[:1, :20], net(ROWS[:1, :27])[:, :20])


def test_the_critic_judges_frames_one_by_one_and_drops_out_in_training():
    torch.manual_seed(0)
    critic = FrameCritic(204).eval()
    assert critic(ROWS).shape == (2, 40)
    torch.testing.assert_close(critic(ROWS)[:, 7:8], critic(ROWS[:, 7:8]))
    critic.train()
    assert not torch.equal(critic(ROWS), critic(ROWS))
