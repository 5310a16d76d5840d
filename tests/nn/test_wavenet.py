import pytest
import torch

from visemix.nn.wavenet import Condition, WaveNet


def heard_by(net, hidden, rows=201):
    """How many rows of the input the middle row of the output depends on."""
    torch.manual_seed(0)
    x = torch.randn(1, hidden, rows, requires_grad=True)
    net(x, torch.randn(1, 64, rows))[0, :, rows // 2].sum().backward()
    return int((x.grad[0].abs().sum(0) > 0).sum())


@pytest.mark.parametrize(("layers", "kernel", "rows"), [(8, 5, 33), (4, 5, 17), (4, 3, 9)])
def test_the_receptive_field_is_the_papers(layers, kernel, rows):
    net = WaveNet(8, 64, layers, kernel)
    assert heard_by(net, 8) == rows == sum(net.context) + 1


def test_growing_dilation_reaches_further():
    net = WaveNet(8, 64, 4, 5, growth=2)
    assert heard_by(net, 8) == 2 * (2 + 4 + 8 + 16) + 1 == sum(net.context) + 1


def test_a_causal_one_looks_back_only_and_as_far():
    net = WaveNet(8, 64, 4, 5, causal=True)
    x = torch.randn(1, 8, 60, requires_grad=True)
    net(x, torch.randn(1, 64, 60))[0, :, 40].sum().backward()
    reached = x.grad[0].abs().sum(0).nonzero().flatten().tolist()
    assert reached == list(range(40 - 16, 41)) and net.context == (16, 0)


def test_a_layer_gates_its_signal_by_what_is_heard():
    torch.manual_seed(0)
    net = WaveNet(2, 3, 1, 3)
    x, sound = torch.randn(1, 2, 5), torch.randn(1, 3, 5)
    reached = net.gates[0](x) + net.condition(sound)
    expected = net.outs[0](reached[:, :2].tanh() * reached[:, 2:].sigmoid())
    torch.testing.assert_close(net(x, sound), expected)


def test_the_condition_has_the_official_size():
    assert sum(p.numel() for p in Condition(1024).parameters()) == 209_024
