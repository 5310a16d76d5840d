"""PSNR, SSIM and CPBD of one 512×512 frame and FID's statistics: ours beside other people's code, in one run.

`python benchmarks/metrics.py [VIDEO]` takes the first frame of a video and a noisy copy; without one, noise that is
smooth as a picture is. With a video the last row is a whole evaluation: every metric without weights, of the video's
copy, encoded again. The package `cpbd` is a peer where it is installed. SciPy's matrix root
takes over a minute for 2 048 features and runs on 512.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy
import torch
from _report import measure, report
from kornia.metrics import ssim as kornia_ssim
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torchmetrics_ssim
from torchmetrics.image.fid import _compute_fid

from visemix.data import VideoReader, VideoWriter
from visemix.evaluation.videos import evaluate
from visemix.metrics import cpbd, psnr
from visemix.metrics.image import grey
from visemix.ops.frechet import frechet
from visemix.ops.ssim import ssim

WANG = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    if len(sys.argv) > 1:
        real = next(iter(VideoReader(sys.argv[1]))).permute(1, 2, 0).numpy()
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
    variants["cpbd"] = lambda: cpbd(ga)
    if find_spec("cpbd"):
        scipy.ndimage.imread = None  # it imports a name that SciPy has no longer
        from cpbd import compute

        variants["cpbd, package"] = lambda: compute(na)
    wide, narrow = clouds(2048), clouds(512)
    variants |= {
        "fid, 200 × 2048": lambda: frechet(*map(torch.from_numpy, wide)).item(),
        "fid, 200 × 512": lambda: frechet(*map(torch.from_numpy, narrow)).item(),
        "fid, 200 × 512, scipy": lambda: by_matrix_root(*narrow),
        "fid, 200 × 512, torchmetrics": lambda: by_torchmetrics(*narrow),
    }
    references = {
        "ssim grey": "ssim grey, scikit-image",
        "ssim rgb": "ssim rgb, scikit-image",
        "psnr": "psnr, scikit-image",
        "cpbd": "cpbd, package",
    }
    values = {name: float(call()) for name, call in variants.items()}
    taken = measure(variants, rounds=11)
    rows = []
    for name, sample in taken.items():
        reference = "fid, 200 × 512, scipy" if "× 512" in name else references.get(name.split(",")[0])
        row = {"metric": name, **sample.row(), "value": values[name]}
        if reference in taken:
            row |= {"speed_up": taken[reference].over(sample), "difference": abs(values[name] - values[reference])}
        rows.append(row)
    if len(sys.argv) > 1:
        rows.append(whole_clip(Path(sys.argv[1])))
    report("metrics", rows, size=list(a.shape))


def clouds(features: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(1234)
    return r.standard_normal((200, features)), 0.5 + r.standard_normal((200, features))


def by_matrix_root(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(scipy.linalg.sqrtm(a @ b))
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))


def by_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    means = [torch.from_numpy(z.mean(0)) for z in (x, y)]
    covariances = [torch.from_numpy(np.cov(z, rowvar=False)) for z in (x, y)]
    return float(_compute_fid(means[0], covariances[0], means[1], covariances[1]))


def whole_clip(video: Path) -> dict[str, object]:
    """Seconds that every metric without weights takes, of a copy with its sound."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / video.name
        with VideoWriter(copy, sound=video) as writer:
            for frame in VideoReader(video):
                writer.write(frame)
        began, cpu = time.perf_counter(), time.process_time()
        found = evaluate(video, copy, progress=False)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    named = f"evaluate, {found.clips[video.stem].frames} frames"
    return {"metric": named, "ms": 1e3 * seconds, "cpu_ms": 1e3 * cpu, "n": 1}


if __name__ == "__main__":
    main()
