import pytest
import torch
from torch.nn import functional as F

from visemix.nn.adapt import FrameCritic, Refiner

ROWS = torch.randn(2, 40, 204, generator=torch.Generator().manual_seed(0))


def sizes(module):
    return sum(p.numel() for p in module.parameters())


def test_both_nets_have_the_official_sizes():
    assert sizes(Refiner(204, (128, 256), "batch", 0.2)) == 796_620
    assert sizes(FrameCritic(204)) == 158_080


@pytest.mark.parametrize("norm", ["batch", "row"])
def test_a_frame_sees_seven_to_either_side(norm):
    torch.manual_seed(0)
    net = Refiner(204, (16, 16), norm, 0.2).eval()
    rows = ROWS[:1].clone().requires_grad_()
    net(rows)[0, 20].sum().backward()
    touched = (rows.grad[0].abs().sum(-1) > 0).nonzero().flatten().tolist()
    assert touched == list(range(13, 28))


def test_it_may_start_as_the_identity():
    assert torch.equal(Refiner(204, (16, 16), "row", 0.2, still=True)(ROWS), ROWS)
    assert not torch.equal(Refiner(204, (16, 16), "row", 0.2)(ROWS), ROWS)


def test_row_norm_knows_neither_batch_nor_time():
    torch.manual_seed(0)
    net = Refiner(204, (16, 16), "row", 0.2)
    torch.testing.assert_close(net(ROWS)[:1, :20], net(ROWS[:1, :27])[:, :20])


def test_the_critic_judges_frames_one_by_one_and_drops_out_in_training():
    torch.manual_seed(0)
    critic = FrameCritic(204).eval()
    assert critic(ROWS).shape == (2, 40)
    torch.testing.assert_close(critic(ROWS)[:, 7:8], critic(ROWS[:, 7:8]))
    critic.train()
    assert not torch.equal(critic(ROWS), critic(ROWS))


ORDERS = {
    "last": lambda conv, norm, x, y: F.leaky_relu(norm(conv(x)), 0.2) + y,
    "before activation": lambda conv, norm, x, y: F.leaky_relu(norm(conv(x)) + y, 0.2),
    "before norm": lambda conv, norm, x, y: norm(F.leaky_relu(conv(x) + y, 0.2)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_layer_adds_its_input_where_its_order_says(order):
    torch.manual_seed(0)
    net = Refiner(204, (16, 24), "batch", 0.2, order=order)
    x = ROWS.mT
    for k, layer in enumerate(net.layers):
        x = ORDERS[order](layer.conv, layer.norm, x, 0.0 if k in (0, 3, 6) else x)  # these change the width
    torch.testing.assert_close(net(ROWS), ROWS + net.out(x).mT)


def test_the_authors_order_is_not_ours():
    def made(order):
        torch.manual_seed(0)
        net = Refiner(204, (128, 256), "batch", 0.2, order=order).train()
        return net(ROWS) - ROWS

    assert (made("last") - made("before activation")).abs().max() > 0.1


def test_a_wide_last_convolution_sees_one_frame_more():
    assert Refiner(204, (16, 16), "row", 0.2).reach == 7
    assert Refiner(204, (16, 16), "row", 0.2, kernel=3).reach == 8
