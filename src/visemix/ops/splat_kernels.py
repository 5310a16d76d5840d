"""The inner loops of `splat_numba`: Gaussians into tiles, tiles into a picture, and back to gradients.

Each tile of the picture goes through the Gaussians that reach it, front to back, eight columns at a time and down
the rows that the ellipse reaches in them. The innermost loop has a constant length and one array, which is what the
compiler wants to make vector instructions of it. The way back goes front to back as well: what lies behind a Gaussian
is the whole less what was met so far, so that nothing is kept but the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from visemix.ops.compiled import compiled, inlined
from visemix.ops.splat_torch import CLAMP, CUT

# numba keeps compiled code as long as this file is the same: whoever changes CUT or CLAMP elsewhere touches it
f4 = np.float32
LANES, BLOCKS = 8, 4  # columns of a block, blocks of a tile
SIDE = LANES * BLOCKS
LOOK = 32  # Gaussians after which a tile looks which of its blocks are done
STOP = f4(1e-5)  # a pixel that lets less than this through is done: an error of 1e-5 of a colour
LEAST, MOST = f4(np.log(CUT)), f4(CLAMP)  # of a contribution's logarithm; of a contribution
# e^x for LEAST ≤ x ≤ 0 is the eighth power of a polynomial, to a relative error of 1e-6
ROOT = Chebyshev.interpolate(lambda x: np.exp(x / 8), 5, domain=[float(LEAST), 0]).convert(kind=Polynomial).coef
E0, E1, E2, E3, E4, E5 = (f4(c) for c in ROOT)

# A Gaussian in the picture. With (dx, dy) from its centre to a pixel's, the logarithm of what it hides there is
# log_o + xx dx² + xy dx dy + yy dy², and above LEAST inside an ellipse: |dx| ≤ wide, |dy| ≤ high, lowest at dx = tip,
# and in column dx all |dy - slope dx| ≤ tall √(1 - dx² / wide²).
SHAPE, TINT = ["x", "y", "xx", "xy", "yy", "log_o"], ["red", "green", "blue"]
SPLAT = np.dtype([(name, f4) for name in (*SHAPE, *TINT, "wide", "high", "tip", "slope", "tall")])


@compiled(fastmath=False)
def pack(order, centre, conic, variance, opacity, colour):  # type: ignore[no-untyped-def]
    """The SPLATs of those Gaussians, as they lie in memory best."""
    splats = np.empty(len(order), SPLAT)
    for k in range(len(order)):
        i, s = order[k], splats[k]
        xx, xy, yy = conic[0, i], conic[1, i], conic[2, i]
        s.x, s.y = centre[0, i] - f4(0.5), centre[1, i] - f4(0.5)
        s.xx, s.xy, s.yy = f4(-0.5) * xx, -xy, f4(-0.5) * yy
        s.red, s.green, s.blue = colour[i, 0], colour[i, 1], colour[i, 2]
        s.log_o = np.log(opacity[i])
        level = f4(2) * (s.log_o - LEAST)
        s.wide, s.high = np.sqrt(level * variance[0, i]), np.sqrt(level * variance[1, i])
        s.tip, s.slope, s.tall = -xy / xx * s.high, -xy / yy, np.sqrt(level / yy)
    return splats


@compiled(fastmath=False)
def bin(splats, height, width):  # type: ignore[no-untyped-def]
    """The splats that may reach each tile, in order: tile t's are `members[starts[t] : starts[t + 1]]`."""
    across, down = -(-width // SIDE), -(-height // SIDE)
    starts = np.zeros(across * down + 1, np.int64)
    boxes = np.empty((len(splats), 4), np.int32)
    for i in range(len(splats)):
        s = splats[i]
        left, right, top, bottom = s.x - s.wide, s.x + s.wide, s.y - s.high, s.y + s.high
        boxes[i] = 0
        if right >= 0 and left <= width - 1 and bottom >= 0 and top <= height - 1:
            boxes[i, 0], boxes[i, 1] = int(max(left, f4(0))) // SIDE, int(min(right, f4(width - 1))) // SIDE + 1
            boxes[i, 2], boxes[i, 3] = int(max(top, f4(0))) // SIDE, int(min(bottom, f4(height - 1))) // SIDE + 1
        for row in range(boxes[i, 2], boxes[i, 3]):
            for column in range(boxes[i, 0], boxes[i, 1]):
                starts[row * across + column + 1] += 1
    for tile in range(across * down):
        starts[tile + 1] += starts[tile]
    end, members = starts[:-1].copy(), np.empty(starts[-1], np.int32)
    for i in range(len(splats)):
        for row in range(boxes[i, 2], boxes[i, 3]):
            for column in range(boxes[i, 0], boxes[i, 1]):
                tile = row * across + column
                members[end[tile]] = i
                end[tile] += 1
    return starts, members


@inlined
def _exp(x):  # type: ignore[no-untyped-def]
    root = E0 + x * (E1 + x * (E2 + x * (E3 + x * (E4 + x * E5))))
    root = root * root
    root = root * root
    return root * root


@inlined
def _blocks(s, x):  # type: ignore[no-untyped-def]
    """First and last block of a tile that an ellipse about column x reaches."""
    first, last = max(np.ceil(x - s.wide), f4(0)), min(np.floor(x + s.wide), f4(SIDE - 1))
    return int(first) // LANES, int(last) // LANES


@inlined
def _rows(s, block, x, y):  # type: ignore[no-untyped-def]
    """First and last row of a tile that an ellipse about (x, y) reaches in a block, from its extremes in it."""
    left, right = max(f4(block * LANES) - x, -s.wide), min(f4(block * LANES + LANES - 1) - x, s.wide)
    high, low = min(max(-s.tip, left), right), min(max(s.tip, left), right)
    first = y + s.slope * high - s.tall * np.sqrt(max(f4(1) - high * high / (s.wide * s.wide), f4(0)))
    last = y + s.slope * low + s.tall * np.sqrt(max(f4(1) - low * low / (s.wide * s.wide), f4(0)))
    return int(max(np.ceil(first), f4(0))), int(min(np.floor(last), f4(SIDE - 1)))


@inlined
def _all_done(count, tile, alive):  # type: ignore[no-untyped-def]
    """Whether no pixel lets anything through any more; looked at every so many Gaussians, noting which blocks do."""
    if count % LOOK != LOOK - 1:
        return False
    for block in range(BLOCKS):
        most = f4(0)
        for row in range(tile.shape[1]):
            for lane in range(LANES):
                most = max(most, tile[block, row, 0, lane])
        alive[block] = most >= STOP
    return not alive.any()


@inlined
def _unpacked(s, left, top):  # type: ignore[no-untyped-def]
    """A splat's numbers, its place in the tile."""
    return s.x - f4(left), s.y - f4(top), s.xx, s.xy, s.yy, s.log_o, s.red, s.green, s.blue


@inlined
def _clear(tile, alive):  # type: ignore[no-untyped-def]
    tile[:] = f4(0)
    tile[:, :, 0] = f4(1)
    alive[:] = True


@inlined
def _store(tile, top, left, image, through):  # type: ignore[no-untyped-def]
    height, width = through.shape
    for row in range(min(SIDE, height - top)):
        for column in range(min(SIDE, width - left)):
            block, lane = column // LANES, column % LANES
            through[top + row, left + column] = tile[block, row, 0, lane]
            for k in range(3):
                image[k, top + row, left + column] = tile[block, row, 1 + k, lane]


@inlined
def _load(tile, alive, top, left, image, through, to_image, to_through):  # type: ignore[no-untyped-def]
    height, width = through.shape
    tile[:] = f4(0)
    for row in range(min(SIDE, height - top)):
        for column in range(min(SIDE, width - left)):
            block, lane, at_y, at_x = column // LANES, column % LANES, top + row, left + column
            behind = through[at_y, at_x] * to_through[at_y, at_x]
            for k in range(3):
                behind += image[k, at_y, at_x] * to_image[k, at_y, at_x]
                tile[block, row + 1, 1 + k, lane] = to_image[k, at_y, at_x]
            tile[block, row + 1, 0, lane] = f4(1)
            tile[block, row + 1, 4, lane] = behind
    alive[:] = True


@compiled(fastmath=True)
def compose(splats, starts, members, image, through, first, step):  # type: ignore[no-untyped-def]
    """Draw every `step`-th tile."""
    across = -(-through.shape[1] // SIDE)
    tile = np.empty((BLOCKS, SIDE, 4, LANES), np.float32)  # what is let through so far, and the colours
    alive = np.empty(BLOCKS, np.bool_)
    for t in range(first, len(starts) - 1, step):
        top, left = t // across * SIDE, t % across * SIDE
        _clear(tile, alive)
        for e in range(starts[t], starts[t + 1]):
            if _all_done(e - starts[t], tile, alive):
                break
            s = splats[members[e]]
            x, y, xx, xy, yy, log_o, red, green, blue = _unpacked(s, left, top)
            block0, block1 = _blocks(s, x)
            for block in range(block0, block1 + 1):
                if not alive[block]:
                    continue
                row0, row1 = _rows(s, block, x, y)
                dx0 = f4(block * LANES) - x
                for row in range(row0, row1 + 1):
                    dy = f4(row) - y
                    k0, k1 = log_o + yy * dy * dy, xy * dy
                    for lane in range(LANES):
                        dx = dx0 + f4(lane)
                        power = k0 + dx * (k1 + xx * dx)
                        before = tile[block, row, 0, lane]
                        weight = min(_exp(power), MOST) * before
                        weight = weight if (power >= LEAST) & (before >= STOP) else f4(0)
                        tile[block, row, 0, lane] = before - weight
                        tile[block, row, 1, lane] += weight * red
                        tile[block, row, 2, lane] += weight * green
                        tile[block, row, 3, lane] += weight * blue
        _store(tile, top, left, image, through)


@compiled(fastmath=True)
def decompose(  # type: ignore[no-untyped-def]
    splats, starts, members, image, through, to_image, to_through, shares, first, step
):
    """What every `step`-th tile adds to the gradient of each of its members: of x, y, xx, xy, yy, log_o and colour."""
    across = -(-through.shape[1] // SIDE)
    # What is let through so far; the gradient of the three colours; the share of the loss that lies behind. Then six
    # sums over rows: each row holds those down to itself, and its pixel's own row stands one lower than in `compose`.
    tile = np.empty((BLOCKS, SIDE + 1, 11, LANES), np.float32)
    alive = np.empty(BLOCKS, np.bool_)
    for t in range(first, len(starts) - 1, step):
        top, left = t // across * SIDE, t % across * SIDE
        _load(tile, alive, top, left, image, through, to_image, to_through)
        for e in range(starts[t], starts[t + 1]):
            if _all_done(e - starts[t], tile, alive):
                break
            s = splats[members[e]]
            x, y, xx, xy, yy, log_o, red, green, blue = _unpacked(s, left, top)
            g = gx = gy = gxx = gxy = gyy = to_red = to_green = to_blue = f4(0)
            block0, block1 = _blocks(s, x)
            for block in range(block0, block1 + 1):
                row0, row1 = _rows(s, block, x, y)
                if row0 > row1 or not alive[block]:
                    continue
                dx0 = f4(block * LANES) - x
                tile[block, row0, 5:] = f4(0)
                for k in range(row0, row1 + 1):
                    above, row = np.uintp(k), np.uintp(k + 1)  # a signed index might count from the end
                    dy = f4(k) - y
                    k0, k1 = log_o + yy * dy * dy, xy * dy
                    for lane in range(LANES):
                        dx = dx0 + f4(lane)
                        power = k0 + dx * (k1 + xx * dx)
                        before = tile[block, row, 0, lane]
                        full = _exp(power)
                        full = full if (power >= LEAST) & (before >= STOP) else f4(0)
                        alpha = min(full, MOST)
                        weight = alpha * before
                        to_r, to_g, to_b = (
                            tile[block, row, 1, lane],
                            tile[block, row, 2, lane],
                            tile[block, row, 3, lane],
                        )
                        own = weight * (red * to_r + green * to_g + blue * to_b)
                        behind = tile[block, row, 4, lane] - own
                        tile[block, row, 0, lane] = before - weight
                        tile[block, row, 4, lane] = behind
                        to_power = own - behind * (alpha / (f4(1) - alpha))
                        to_power = to_power if full <= MOST else f4(0)
                        tile[block, row, 5, lane] = tile[block, above, 5, lane] + to_power
                        tile[block, row, 6, lane] = tile[block, above, 6, lane] + to_power * dy
                        tile[block, row, 7, lane] = tile[block, above, 7, lane] + to_power * (dy * dy)
                        tile[block, row, 8, lane] = tile[block, above, 8, lane] + weight * to_r
                        tile[block, row, 9, lane] = tile[block, above, 9, lane] + weight * to_g
                        tile[block, row, 10, lane] = tile[block, above, 10, lane] + weight * to_b
                for lane in range(LANES):
                    dx = dx0 + f4(lane)
                    down, down_dy = tile[block, row1 + 1, 5, lane], tile[block, row1 + 1, 6, lane]
                    g += down
                    gx += down * dx
                    gxx += down * (dx * dx)
                    gy += down_dy
                    gxy += down_dy * dx
                    gyy += tile[block, row1 + 1, 7, lane]
                    to_red += tile[block, row1 + 1, 8, lane]
                    to_green += tile[block, row1 + 1, 9, lane]
                    to_blue += tile[block, row1 + 1, 10, lane]
            shares[e, 0], shares[e, 1] = -(f4(2) * xx * gx + xy * gy), -(f4(2) * yy * gy + xy * gx)
            shares[e, 2], shares[e, 3], shares[e, 4], shares[e, 5] = gxx, gxy, gyy, g
            shares[e, 6], shares[e, 7], shares[e, 8] = to_red, to_green, to_blue


@compiled(fastmath=False)
def gather(order, splats, members, shares, grads):  # type: ignore[no-untyped-def]
    """Add up the shares of all tiles: the gradients of centre, conic, opacity and colour of every Gaussian."""
    for e in range(len(members)):
        for k in range(9):
            grads[order[members[e]], k] += shares[e, k]
    for k in range(len(order)):
        grads[order[k], 2] *= f4(-0.5)
        grads[order[k], 3] *= f4(-1)
        grads[order[k], 4] *= f4(-0.5)
        grads[order[k], 5] *= np.exp(-splats[k].log_o)
