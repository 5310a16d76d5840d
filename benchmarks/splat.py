"""What drawing Gaussians costs on a processor: numba's kernels against the twin in plain torch, projection included.

Gaussians of about two pixels (of 512, 20 000 of them) fill a disc of 43 % of the picture: what a head takes of it.
`forward` keeps nothing for a backward pass. The twin computes each tile again on its way back, to bound its memory.
`opaque` are larger and hide one another: pixels are done early.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _report import measure, report
from torch import Tensor

from visemix.ops.camera import DISTANCE, square_camera
from visemix.ops.splat import splat

# side, Gaussians, standard deviation in pixels of 512, least opacity
SCENES = {
    "256², 20 000": (256, 20_000, 2.0, 0.3),
    "256², 50 000": (256, 50_000, 1.5, 0.3),
    "512², 20 000": (512, 20_000, 2.0, 0.3),
    "512², 50 000": (512, 50_000, 1.5, 0.3),
    "512², 50 000 opaque": (512, 50_000, 3.0, 0.8),
}


def disc(side: int, count: int, deviation: float, least: float) -> tuple[Tensor, ...]:
    """Means, factors, opacity, colour, camera: a disc a decimetre deep, of Gaussians turned any way."""
    g = torch.Generator().manual_seed(0)
    camera = square_camera(side)
    pixel = DISTANCE / camera[0]
    turn, radius = torch.rand(count, generator=g) * math.tau, torch.rand(count, generator=g).sqrt() * 0.37 * side
    depth = torch.rand(count, generator=g) - 0.5
    means = torch.stack([radius * turn.cos() * pixel, radius * turn.sin() * pixel, depth], -1)
    axes, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=g))
    scales = (0.4 * torch.randn(count, 1, 3, generator=g)).exp() * (deviation * side / 512) * pixel
    opacity = least + (0.99 - least) * torch.rand(count, generator=g)
    return means, axes * scales, opacity, torch.rand(count, 3, generator=g), camera


def draw(backend: str, threads: int, side: int, *gaussians: Tensor) -> tuple[Tensor, Tensor]:
    torch.set_num_threads(threads)
    drawn = splat(*gaussians, (side, side), backend=backend)  # type: ignore[arg-type]
    return drawn.image, drawn.transmittance


def forward(backend: str, threads: int, side: int, *gaussians: Tensor) -> None:
    with torch.no_grad():
        draw(backend, threads, side, *gaussians)


def both(backend: str, threads: int, side: int, *gaussians: Tensor) -> None:
    image, transmittance = draw(backend, threads, side, *gaussians)
    (image.square().sum() + transmittance.sum()).backward()  # type: ignore[no-untyped-call]


def compare(name: str, rounds: int) -> list[dict[str, Any]]:
    """Rows of the table for one scene."""
    side, *what = SCENES[name]
    *gaussians, camera = disc(side, *what)
    exact, fast = (draw(backend, 1, side, *gaussians, camera)[0] for backend in ("torch", "numba"))
    assert (exact - fast).abs().max() < 1e-4 + 1 / 255
    assert ((exact - fast).abs() > 1e-4).float().mean() < 1e-3  # a contribution within rounding of being cut
    moving = [tensor.clone().requires_grad_() for tensor in gaussians]
    variants: dict[str, Callable[[], object]] = {}
    for backend, threads in (("torch", 1), ("numba", 1), ("numba", 2)):
        form = f"{backend}, {threads} thread{'s' * (threads > 1)}"
        variants[f"{form}, forward"] = partial(forward, backend, threads, side, *gaussians, camera)
        variants[f"{form}, forward + backward"] = partial(both, backend, threads, side, *moving, camera)
    samples = measure(variants, rounds=rounds, warmup=1)
    rows = []
    for form, sample in samples.items():
        twin = samples["torch, 1 thread, " + form.split(", ", 2)[2]]
        rows.append({"scene": name, "form": form, **sample.row(), "torch / this": twin.over(sample)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    rows = [row for name in SCENES for row in compare(name, rounds)]
    report("splat", rows, scenes={name: list(values) for name, values in SCENES.items()}, seed=0, rounds=rounds)


if __name__ == "__main__":
    main()
