"""TAFT's generator, one frame: as it is written down, as it is run, and what number types and the allocator change.

    python benchmarks/taft.py [--sizes 256 512] [--rounds 5] [--bfloat16]

`plain` is the network of the paper in its own terms: channels first, a layer norm with its own scale and shift. It is
measured a second time after `keep_memory`, so that each ratio compares two runs of one phase. bfloat16 is left out on
processors that have no instructions for it, where it takes ten times as long, unless it is asked for.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from _report import Sample, measure, report
from torch import Tensor
from torch.nn import functional as F

from visemix.nn.conv import ConvBlock
from visemix.ops.device import keep_memory, multiplies_bfloat16
from visemix.render.generator import Generator, run_in_dtype

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def plain(net: Generator, reference: Tensor, blended: Tensor) -> Tensor:
    """The forward pass of the fact sheet, operation by operation."""

    def block(b: ConvBlock, x: Tensor) -> Tensor:
        x = F.conv2d(x, b.conv.weight, b.conv.bias, padding=b.conv.padding)
        x = F.layer_norm(x, x.shape[1:]) * b.norm.weight[:, None, None] + b.norm.bias[:, None, None]
        return F.leaky_relu(x, 0.1)

    x = block(net.first, torch.cat([reference, blended], 1))
    skips = []
    for down in net.down:
        skips.append(x)
        x = F.avg_pool2d(block(down, x), 2)
    for level in reversed(range(net.levels)):
        x = block(net.up[level], F.interpolate(net.res[level](x), scale_factor=2, mode="nearest"))
        x = x + block(net.jump[level], skips[level])
    return torch.tanh(net.final(x))


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bfloat16", action="store_true", help="time it even where it is emulated")
    args = parser.parse_args()
    torch.manual_seed(0)
    net = Generator().eval().to(DEVICE)
    types = [torch.float32] + [torch.bfloat16] * (multiplies_bfloat16(DEVICE) or args.bfloat16)
    rows = []
    with torch.inference_mode():
        for kept in (False, True):
            if kept and not keep_memory():
                break
            for size in args.sizes:
                rows += [{"memory": "kept" if kept else "as it comes", **row} for row in phase(net, size, types, args)]
    report("taft", rows, seed=0, parameters=sum(p.numel() for p in net.parameters()), device=DEVICE.type)


def phase(net: Generator, size: int, types: list[torch.dtype], args: argparse.Namespace) -> list[dict[str, object]]:
    reference, blended = torch.rand(2, 1, 3, size, size, device=DEVICE) * 2 - 1
    forms = {"plain float32": lambda: plain(net, reference, blended)}
    forms |= {f"TAFT {str(t)[6:]}": lambda t=t: run_in_dtype(t, net, reference, blended) for t in types}
    truth = forms["plain float32"]()
    samples: dict[str, Sample] = measure(forms, rounds=args.rounds, warmup=1)
    rows: list[dict[str, object]] = []
    for name, sample in samples.items():
        before, start = faults(), time.process_time()
        made = forms[name]()
        spent, faulted = time.process_time() - start, faults() - before
        error = (made.float() - truth) / 2  # pictures in [0, 1]
        psnr = None if name == "plain float32" else float(-10 * error.square().mean().clamp(min=1e-20).log10())
        rows.append(
            {
                "size": size,
                "form": name,
                **sample.row(),
                "× plain": sample.over(samples["plain float32"]),
                "cpu ms, all cores": 1e3 * spent,
                "page faults": faulted,
                "dB to plain": psnr,
                "largest error": float(error.abs().max()),
            }
        )
    return rows


if __name__ == "__main__":
    main()
