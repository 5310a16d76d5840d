"""Tensors as a few numbers that move when any of theirs does, and how frozen numbers are compared."""

import math

import torch

# Single precision has 7 digits. Another processor, or another number of threads, adds up in another order: seen to cost
# up to 1e-5 of a tensor's norm in the deepest of these networks. What a changed formula does is seldom below 1e-3.
TOLERANCE = 1e-4
SUPERSET = "options"  # there may be more of these than were frozen: a new one must not change what is


def rounded(value, digits=8):
    return float(f"{float(torch.as_tensor(value).detach()):.{digits}g}")


def digest(tensor):
    """Shape, norm, and the projections on three random directions."""
    flat = tensor.detach().double().flatten()
    g = torch.Generator().manual_seed(len(flat))
    dots = [rounded(torch.randn(len(flat), generator=g, dtype=torch.float64) @ flat) for _ in range(3)]
    return {"shape": list(tensor.shape), "norm": rounded(flat.norm()), "dots": dots}


def differences(frozen, found, at="", scale=0.0, within=TOLERANCE):
    """A sentence of each number that is another by more than `within` of it, or of `scale` where that is more.

    An artefact that says `within` itself is of something less exact.
    """
    if isinstance(frozen, dict) and isinstance(found, dict):
        if "dots" in frozen:  # a projection may be 0 by chance, and is as exact as the tensor is long
            scale = 3 * frozen["norm"]
        within = frozen.get("within", within)
        extra = set() if at.split(".")[0] == SUPERSET else found.keys() - frozen.keys()
        for key in sorted((frozen.keys() - found.keys()) | extra):
            yield f"{at}: {key} is {'gone' if key in frozen else 'new'}"
        for key in sorted(frozen.keys() & found.keys()):
            yield from differences(frozen[key], found[key], f"{at}.{key}".strip("."), scale, within)
    elif isinstance(frozen, list) and isinstance(found, list) and len(frozen) == len(found):
        numbers = [abs(x) for x in frozen if isinstance(x, float) and math.isfinite(x)]
        for k, pair in enumerate(zip(frozen, found, strict=True)):
            yield from differences(*pair, f"{at}[{k}]", scale or 0.03 * max(numbers, default=0.0), within)
    elif not same(frozen, found, scale, within):
        yield f"{at} was {frozen} and is {found}"


def same(frozen, found, scale, within):
    if not (isinstance(frozen, float) and isinstance(found, float)):
        return frozen == found
    if not (math.isfinite(frozen) and math.isfinite(found)):
        return frozen == found or (math.isnan(frozen) and math.isnan(found))
    return abs(frozen - found) <= within * max(abs(frozen), scale) + 1e-9
