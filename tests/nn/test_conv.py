import torch
from torch import nn
from torch.nn import functional as F

from visemix.nn.conv import ConvBlock, init_normal


def test_the_norm_is_a_layer_norm_over_the_whole_picture_with_a_scale_and_shift_per_channel():
    torch.manual_seed(0)
    block = ConvBlock(3, 8)
    nn.init.normal_(block.norm.weight)
    nn.init.normal_(block.norm.bias)
    x = torch.randn(2, 3, 10, 12)
    inside = block.conv(x)
    normed = F.layer_norm(inside, inside.shape[1:]) * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
    torch.testing.assert_close(block(x), torch.where(normed > 0, normed, 0.1 * normed))


def test_weights_start_small_and_biases_at_zero():
    torch.manual_seed(0)
    block = ConvBlock(64, 64)
    block.apply(init_normal)
    assert abs(float(block.conv.weight.detach().std()) - 0.02) < 0.0005
    assert not block.conv.bias.any()
    assert (block.norm.weight == 1).all()
