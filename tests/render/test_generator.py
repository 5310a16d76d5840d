import pytest
import torch

from visemix.render.generator import Generator


def count(*modules):
    return sum(p.numel() for m in modules for p in m.parameters())


def test_the_parameters_are_the_papers():
    net = Generator()
    assert count(net.first, net.down) == 979_392
    assert count(net.res, net.up, net.jump, net.final) == 4_400_195
    assert count(net) == 5_379_587


def test_the_res_convolutions_are_bare():
    net = Generator(base=8)
    assert [type(m).__name__ for m in net.res[0]] == ["Conv2d", "Conv2d"]


@pytest.mark.parametrize(("base", "widest", "levels"), [(8, 32, 3), (4, 8, 2), (4, 64, 4)])
def test_any_size_goes_in_and_comes_out(base, widest, levels):
    net = Generator(base, widest, levels)
    for size in ((64, 64), (50, 37)):
        out = net(torch.rand(2, 3, *size), torch.rand(2, 3, *size))
        assert out.shape == (2, 3, *size)
        assert (out.abs() <= 1).all()
    assert max(m.out_channels for m in net.modules() if isinstance(m, torch.nn.Conv2d)) <= widest


def test_it_is_the_sheets_network_step_by_step():
    torch.manual_seed(0)
    net = Generator(base=4, max_channels=8, levels=2)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    reference, blended = torch.randn(2, 1, 3, 16, 16)

    def block(m, x):
        x = torch.nn.functional.conv2d(x, m.conv.weight, m.conv.bias, padding=m.conv.padding)
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
        x = x * m.norm.weight[:, None, None] + m.norm.bias[:, None, None]
        return torch.maximum(x, 0.1 * x)

    def halve(x):
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

    def double(x):
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    skip0 = block(net.first, torch.cat([reference, blended], 1))
    skip1 = halve(block(net.down[0], skip0))
    x = halve(block(net.down[1], skip1))
    x = block(net.up[1], double(net.res[1](x))) + block(net.jump[1], skip1)
    x = block(net.up[0], double(net.res[0](x))) + block(net.jump[0], skip0)
    torch.testing.assert_close(net(reference, blended), torch.tanh(net.final(x)), rtol=1e-4, atol=1e-4)
