"""PSNR and SSIM of one 512×512 frame: ours beside scikit-image, kornia and torchmetrics, in one run.

`python benchmarks/metrics.py [VIDEO]` takes the first frame of a video and a JPEG-like copy; without one, noise that is
smooth as a picture is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from _report import measure, report
from kornia.metrics import ssim as kornia_ssim
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torchmetrics_ssim

from visemix.data.pairs import rgb_frames
from visemix.metrics import psnr
from visemix.metrics.image import grey
from visemix.ops.ssim import ssim

WANG = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    if len(sys.argv) > 1:
        real = next(rgb_frames(Path(sys.argv[1])))
    else:
        real = 128 + 900 * gaussian_filter(rng.standard_normal((512, 512, 3)), (3, 3, 0))
        real = real.clip(0, 255).astype(np.uint8)
    fake = (real + rng.normal(0, 6, real.shape)).clip(0, 255).astype(np.uint8)
    return real, fake


def main() -> None:
    a, b = pictures()
    ta, tb = (torch.from_numpy(x).permute(2, 0, 1).contiguous() for x in (a, b))
    ga, gb = grey(ta), grey(tb)
    na, nb = ga.numpy(), gb.numpy()
    fa, fb = ga.float()[None, None], gb.float()[None, None]
    variants = {
        "ssim grey": lambda: ssim(ga, gb).item(),
        "ssim grey, float64": lambda: ssim(ga, gb, torch.float64).item(),
        "ssim grey, scikit-image": lambda: structural_similarity(na, nb, **WANG),
        "ssim grey, kornia": lambda: kornia_ssim(fa, fb, 11, 255.0, padding="valid").mean().item(),
        "ssim grey, torchmetrics": lambda: torchmetrics_ssim(fa, fb, data_range=255.0).item(),
        "ssim rgb": lambda: ssim(ta, tb).mean().item(),
        "ssim rgb, scikit-image": lambda: structural_similarity(a, b, channel_axis=2, **WANG),
        "psnr": lambda: psnr(ta, tb).item(),
        "psnr, scikit-image": lambda: peak_signal_noise_ratio(a, b, data_range=255),
        "psnr, torchmetrics": lambda: torchmetrics_psnr(ta.double(), tb.double(), data_range=255.0).item(),
    }
    references = {
        "ssim grey": "ssim grey, scikit-image",
        "ssim rgb": "ssim rgb, scikit-image",
        "psnr": "psnr, scikit-image",
    }
    values = {name: float(call()) for name, call in variants.items()}
    taken = measure(variants, rounds=11)
    rows = []
    for name, sample in taken.items():
        reference = references[name.split(",")[0]]
        row = {"metric": name, **sample.row(), "speed_up": taken[reference].over(sample)}
        rows.append(row | {"value": values[name], "difference": abs(values[name] - values[reference])})
    report("metrics", rows, size=list(a.shape), reference="scikit-image")


if __name__ == "__main__":
    main()
