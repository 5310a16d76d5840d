"""How far a recording's sound is from its lips, and whether they follow it at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.ops.avlag import LagUndetermined, StillMouth, detect
from visemix.types import FPS

UNSEEN = 0.05  # of a clip's frames without a face, above which its mouth is not judged


def lip_sync(
    landmarks: Float[Tensor, "T 68 2"], present: Bool[np.ndarray, " T"], wave: Float[Tensor, " S"], source: str
) -> dict[str, Any]:
    """`lip_sync` of a clip's `meta.yaml`: the lag of its sound, by the lag detector, and whether the lips follow it.

    `follows` is True where one lag stands out; then `lag` is how many frames the sound is early (below 0: late), and
    `z` by how much it stands out. It is False where none does, or the lips keep still while somebody speaks, and None
    where the clip cannot be judged (it is shorter than four seconds, say); then `reason` says why, and `lag` is 0.
    """
    missing = int((~present).sum())
    if missing > UNSEEN * len(present):
        return _none(None, f"no face was found in {missing} of {len(present)} frames")
    shown = torch.where(torch.from_numpy(present)[:, None, None], landmarks.double(), torch.nan)
    try:
        found = detect(shown, wave, float(FPS), (source,))
    except StillMouth as still:
        return _none(False, str(still))
    except LagUndetermined as error:
        return _none(None, str(error))
    judged = {"z": round(float(found.peak_z), 2), "correlation": round(float(found.correlations.max()), 3)}
    if found.doubt:
        return _none(False, found.doubt) | judged
    return {"follows": True, "lag": found.offset} | judged


def remarks(found: dict[str, Any]) -> list[str]:
    """Sentences for the notes of a clip, from its `lip_sync`."""
    if found["follows"] is False:
        return [f"no lip sync: its lips do not follow its sound ({found['reason']}); motion is not learned from it"]
    if found["lag"]:
        return [
            f"its sound is {frames(found['lag'])} (z {found['z']:.1f}); where motion is learned from it, it is moved"
        ]
    return []


def frames(lag: int) -> str:
    """A lag in words.

    >>> frames(-1), frames(3)
    ('1 frame late', '3 frames early')
    """
    return f"{abs(lag)} frame{'' if abs(lag) == 1 else 's'} {'early' if lag > 0 else 'late'}"


def _none(follows: bool | None, reason: str) -> dict[str, Any]:
    return {"follows": follows, "lag": 0, "reason": reason}
