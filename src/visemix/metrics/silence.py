"""What a mouth does while nothing is heard: how far it strays from its rest, and how soon it gets there."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.metrics.articulation import Ratio, mouth_landmarks, mouth_opening
from visemix.metrics.base import METRICS, NoScore, SequenceMetric, VideoSequence
from visemix.types import SAMPLE_RATE

LEAST = 0.3  # seconds of silence that count, as in THEval
QUIET = 30.0  # dB under the loud frames
HOLD = 3  # frames that a mouth must stay near its rest to have settled
NEAR = 0.02  # of the distance between the outer eye corners, about 2 mm: how near that is; trackers shake by half of it


def silences(sound: Float[Tensor, " S"], fps: float, least: float = LEAST) -> Bool[Tensor, " T"]:
    """Frames of the sound's own clock in which nothing is heard, in stretches of `least` seconds and more.

    Quiet is what is 30 dB under the 95 % quantile of all frames. THEval asks Silero's voice detector, which would be
    weights to bring; a breath is silence there, and here where it is soft.

    >>> silences(torch.cat([torch.ones(6400), torch.zeros(6400)]), 25.0).int().tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    frames = int(len(sound) * fps / SAMPLE_RATE + 1e-6)
    edges = (torch.arange(frames + 1, dtype=torch.float64) * SAMPLE_RATE / fps).round().long()
    energy = torch.cat([torch.zeros(1, dtype=torch.float64), sound.double().square().cumsum(0)])[edges]
    level = 10 * (energy.diff() / edges.diff()).clamp(min=1e-12).log10()
    quiet = level < level.quantile(0.95) - QUIET
    still = torch.zeros(frames, dtype=torch.bool)
    for run in runs(quiet):
        still[run.start : run.stop] = len(run) >= least * fps - 1e-6
    return still


def runs(still: Bool[Tensor, " T"]) -> list[range]:
    """The ranges of consecutive silent frames.

    >>> runs(torch.tensor([True, False, True, True]))
    [range(0, 1), range(2, 4)]
    """
    edges = torch.nn.functional.pad(still.int(), (1, 1)).diff().nonzero().flatten().tolist()
    return [range(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def shift(still: Bool[Tensor, " T"], lag: int, frames: int) -> Bool[Tensor, " N"]:
    """Silent frames by the clock of a mouth of N = `frames` frames, whose sound is early by `lag`. What lies beyond the
    ends of the sound is no silence.

    >>> shift(torch.tensor([True, True, False]), 1, 4).int().tolist()
    [0, 1, 1, 0]
    """
    return torch.nn.functional.pad(still, (lag, frames - lag - len(still)))


def lip_instability(opening: Float[Tensor, " T"], still: Bool[Tensor, " T"]) -> Float[Tensor, ""]:
    """THEval's silent-lip stability (Quignon et al. 2025): the median of how far a mouth's opening is from its mean,
    over the frames of all silences together, in the opening's unit; 0 is a mouth that holds. NaN where there are none.

    Theirs by the paper: silence of 0.3 s and more, the median, and the score 1 − |fake − real| / |real|. (One release
    of their code takes the variance.) Ours: which landmarks, and what is silence. Frames without a face (NaN) are left
    out.

    >>> lip_instability(torch.tensor([9.0, 1.0, 1.0, 1.0, 5.0]), torch.tensor([False, True, True, True, True]))
    tensor(1.)
    """
    rest = opening[still & ~opening.isnan()]
    return (rest - rest.mean()).abs().quantile(0.5) if len(rest) else opening.new_tensor(torch.nan)


def settling_time(
    opening: Float[Tensor, " T"], still: Bool[Tensor, " T"], rest: Float[Tensor, ""], near: float
) -> Float[Tensor, " N"]:
    """Frames from the end of sound until the opening stays within `near` of `rest` for three: one
    for each silence that follows sound. Where that never happens, all of the silence: it took longer.

    >>> opening = torch.tensor([9.0, 5.0, 2.0, 1.0, 1.0, 1.0, 4.0])
    >>> settling_time(opening, torch.tensor([False, *6 * [True]]), torch.tensor(1.0), 1.0)
    tensor([1.])
    """
    off = ~((opening - rest).abs() <= near)  # where no face was found, too
    found = []
    for run in runs(still):
        if run.start:
            here = off[run.start : run.stop].tolist()
            calm = (k for k in range(len(here) - HOLD + 1) if not any(here[k : k + HOLD]))
            found.append(next(calm, len(here)))
    return opening.new_tensor(found)


def in_silence(sequence: VideoSequence) -> tuple[Float[Tensor, " T"], Bool[Tensor, " T"]]:
    """The mouth's opening over the distance between the eyes, and in which frames nothing is heard.

    Raises:
        NoScore: there is no silence, or as `mouth_landmarks`.
        ValueError: the sequence has no sound.
    """
    if sequence.sound is None:
        raise ValueError("silence needs sound")
    opening = mouth_opening(mouth_landmarks(sequence))
    still = shift(silences(sequence.sound, sequence.fps), sequence.lag or 0, len(opening))
    if not still.any():
        raise NoScore(f"there is no silence of {LEAST:g} s")
    return opening, still


@METRICS.register("silent_lips")
class SilentLips(Ratio):
    """THEval's silent-lip stability of the fake over the real one's: above 1 it is restless while nothing is heard."""

    variant = f"median |opening − its mean| in silences of {LEAST:g} s and more ({QUIET:g} dB under the loud frames)"
    needs = frozenset({"landmarks", "sound"})

    def amount(self, sequence: VideoSequence) -> Float[Tensor, ""]:
        """`lip_instability` of a clip, in distances between the outer eye corners."""
        return lip_instability(*in_silence(sequence))


@METRICS.register("settle")
class Settle(SequenceMetric):
    """Frames after the end of sound until the mouth has come to the real one's rest, median over silences."""

    unit = "frames"
    variant = f"until the opening is within {NEAR:g} eye distances of the real one's median, for {HOLD} frames"
    region = "mouth"
    higher_is_better = False
    needs = frozenset({"landmarks", "sound"})

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row, the median time in frames. Raises `NoScore` where no silence follows the fake's sound."""
        held, still = in_silence(real)
        rest = held[still].nanquantile(0.5)
        took = settling_time(*in_silence(fake), rest, NEAR)
        if not len(took):
            raise NoScore("no silence follows the sound")
        return took.double().quantile(0.5).reshape(1, 1)
