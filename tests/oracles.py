"""The numbers that other people's code gave, and the recipe by which untrained networks got their weights."""

import numpy as np
import torch


@torch.no_grad()
def settle(net):
    """Weights that depend on nothing but each one's place in the state dict."""
    for index, (name, value) in enumerate(net.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        r, shape = np.random.default_rng(index), tuple(value.shape)
        if name.endswith("running_mean"):
            drawn = 0.1 * r.standard_normal(shape)
        elif name.endswith("running_var"):
            drawn = r.uniform(0.5, 1.5, shape)
        elif value.ndim > 1:
            drawn = r.standard_normal(shape) * np.sqrt(2 / (value.numel() / shape[0]))
        elif name.endswith("weight"):
            drawn = 1 + 0.1 * r.standard_normal(shape)
        else:
            drawn = 0.1 * r.standard_normal(shape)
        value.copy_(torch.from_numpy(np.asarray(drawn)))
    return net.eval()
