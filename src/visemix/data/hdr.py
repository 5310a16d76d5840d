"""Pictures of a high dynamic range on an ordinary screen."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8, UInt16

HDR = {16: "PQ", 18: "HLG"}  # by the code of their transfer function (ITU-T H.273, table 3)
WHITE = 203.0  # cd/m² of a sheet of white paper (ITU-R BT.2408)
PEAK = 1000.0  # cd/m² of the screen that HLG is shown on
KNEE = 0.7  # of white: what is darker stays as bright as it is
LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
TO_709 = np.array(  # linear BT.2020 to linear BT.709 (ITU-R BT.2087)
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
STEPS = 4096  # of the table by which light becomes a byte


def to_sdr(picture: UInt16[np.ndarray, "H W 3"], kind: str) -> UInt8[np.ndarray, "H W 3"]:
    """An RGB picture of BT.709 from one of BT.2020 in PQ or HLG: highlights are compressed, the rest stays as bright.

    Sources: ITU-R BT.2100 for what the two mean, BT.2408 for where white lies, BT.1886 for the screen.
    """
    light = _light(kind)[picture]
    if kind == "HLG":  # the screen's own curve, 1.2 at 1000 cd/m²
        light *= (light @ LUMA)[..., None] ** np.float32(0.2)
    light = (light * np.float32(PEAK / WHITE)) @ TO_709.T
    brightest = light.max(-1, keepdims=True)
    over = np.maximum(brightest - KNEE, 0)
    room = 1 - KNEE
    light *= np.where(over > 0, (KNEE + room * over / (over + room)) / np.maximum(brightest, 1e-6), 1)
    return _bytes()[np.clip(light * STEPS, 0, STEPS).astype(np.int32)]


@cache
def _light(kind: str) -> Float[np.ndarray, " 65536"]:
    """Light for every value: of the scene in [0, 1] for HLG, of the screen as a part of `PEAK` for PQ."""
    v = np.arange(1 << 16) / 65535
    if kind == "PQ":
        power = v ** (1 / 78.84375)
        inner = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        light = 10_000 / PEAK * inner ** (1 / 0.1593017578125)
    else:
        light = np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return light.astype(np.float32)


@cache
def _bytes() -> UInt8[np.ndarray, " steps"]:
    return np.round(255 * (np.arange(STEPS + 1) / STEPS) ** (1 / 2.4)).astype(np.uint8)
