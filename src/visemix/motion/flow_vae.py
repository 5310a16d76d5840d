"""GeneFace's variational motion generator (arXiv 2301.13430, 3.1): sound in, one of many fitting motions out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion import published
from visemix.motion.base import MOTION, MotionModel
from visemix.motion.guide import DelayedWeight, SyncGuide, split_halves
from visemix.motion.lm3d import LM3D, MOUTH_SIGMA, SIGMA, smooth_landmarks, smoothing_radius
from visemix.nn.flow import Flow
from visemix.nn.latent import STRIDE, Decoder, Posterior, RunningMean, log_normal, noise
from visemix.nn.wavenet import CONDITION, Condition, total_context
from visemix.ops.presets import merge_preset
from visemix.ops.sequence import rechunk
from visemix.options import Count, Natural, NotNegative, Seed
from visemix.parts import SeparateWeights
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError

BLOCK = 512  # frames that are streamed together
ACTIVE = 0.01  # variance of a number's mean over the data above which it says something
OF_THE_EXPERT = ("compat", "halves", "identity", "sampling", "sync_dim", "sync_windows")  # options of its sync-expert

PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {
        "channels": 192, "growth": 1, "rate": "mean", "norm": False, "overlap": True, "identity": "subject",
        "kl_weight": None, "continuity_weight": 3.0, "sync_weight": 0.01, "sync_start": "average",
        "sampling": "corrected", "temperature": 0.8, "sigma": SIGMA, "mouth_sigma": MOUTH_SIGMA,
    },
    "paper": {
        "channels": 192, "growth": 2, "rate": "mean", "norm": True, "overlap": False, "identity": "audio",
        "kl_weight": 1.0, "continuity_weight": 0.0, "sync_weight": 1.0, "sync_start": "always",
        "sampling": "corrected", "temperature": 1.0, "sigma": 1.0, "mouth_sigma": 1.0,
    },
    "official": {
        "channels": 256, "growth": 1, "rate": "first", "norm": False, "overlap": False, "identity": "audio",
        "kl_weight": 0.4, "continuity_weight": 3.0, "sync_weight": 0.01, "sync_start": "validation",
        "sampling": "official", "temperature": 1.0, "sigma": 0.0, "mouth_sigma": 0.0,
    },
}  # fmt: skip


class Encoded(NamedTuple):
    """A true motion, and what the autoencoder makes of it; rows are landmarks in centimetres."""

    decoded: Float[Tensor, "B T 204"]
    truth: Float[Tensor, "B T 204"]
    mean: Float[Tensor, "B L R"]  # of the posterior
    divergence: Float[Tensor, "B L R"]  # log-density of the latent under the posterior less that under the prior


@MOTION.register("flow_vae")
class FlowVAE(MotionModel):
    """A variational autoencoder over landmarks, with a normalising flow under its prior, that hears the sound.

    Four frames share a latent of 16 numbers. In training it comes from the true motion; at inference from noise, which
    the flow bends by what is heard. Nothing is autoregressive: any length in one pass, or piece by piece, in bounded
    memory, with the same result. An option that is None takes its value from `compat`.

    Args:
        compat: "corrected" (our default), "paper" (the text and its Table 4), "official" (the authors' code, faults
            included: every second row of sound unheard, shape guessed from the voice, a guidance that forgets in a
            resumed run that it was on, no smoothing over time).
        halves: rows of 50 Hz sound side by side in a row of features: 2 with `hubert`'s `align=both`, else 1.
        rate: how two halves become one row: their "mean", or the "first" alone.
        channels, encoder_layers, decoder_layers, kernel, latent: sizes.
        ahead: frames after its own that a frame of the motion hears of; every convolution at inference then looks back
            only, at sound that is this much early. None: as far as convolutions to either side reach, as in the paper.
        flow: False gives the vanilla VAE of the ablation, whose prior is the standard normal.
        growth: layer i of every WaveNet is dilated by growth^i.
        norm: ReLU and layer norm around the strided convolutions.
        overlap: whether a latent's four frames blend into the next four's.
        identity: "subject" or "audio", see `LM3D`.
        kl_weight: of the KL divergence, a mean over the latents' numbers, beside the squared error, a mean over the
            landmarks' coordinates in cm². A weight λ means that true motions lie about the decoded ones with a variance
            of 25.5 λ cm² along each direction that a face can move in (204 coordinates a frame, 16 numbers for four):
            a latent that explains less than that stays idle. `corrected` assumes nothing: its variance is the running
            mean of the squared error itself, along one of the face's expressions (optimal σ-VAE: Rybkin et al. 2021,
            3.2; over 204 coordinates, which say the same again and again, the latent would take over from the sound).
        continuity_weight, sync_weight: of the other losses; continuity is in cm², too.
        sync: False leaves out the sync-expert.
        sync_start: guidance begins "always" at once; when the running "average" of the training loss has come down to
            `sync_threshold`, which checkpoints keep; or when that of one "validation" batch has, which they do not.
        sampling: of the expert's wrong pairs.
        sync_dim, sync_windows: length of the expert's vectors, other widths follow; pairs of windows drawn for a loss.
        temperature: spread of the noise at inference; 0 gives the middle of what fits.
        seed: of that noise: the same seed, the same motion, however the sound is batched or cut. None: anew each time.
        sigma, mouth_sigma: of a Gaussian over time at inference, in frames; 0 for none.

    Raises:
        VisemixError: `halves` that the features do not have, or `ahead` out of range.
    """

    space = Space.LANDMARKS
    draws = True
    separate_weights = MappingProxyType({"sync": SeparateWeights(("sync_guide",), OF_THE_EXPERT)})
    presets, published = PRESETS, published.FLOW_VAE

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        compat: Literal["corrected", "paper", "official"] = "corrected",
        halves: Natural = 1,
        rate: Literal["mean", "first"] | None = None,
        channels: Count | None = None,
        encoder_layers: Count = 8,
        decoder_layers: Count = 4,
        kernel: Count = 5,
        latent: Count = 16,
        ahead: Natural | None = None,
        flow: bool = True,
        growth: Count | None = None,
        norm: bool | None = None,
        overlap: bool | None = None,
        identity: Literal["subject", "audio"] | None = None,
        kl_weight: NotNegative | None = None,
        continuity_weight: NotNegative | None = None,
        sync: bool = True,
        sync_weight: NotNegative | None = None,
        sync_start: Literal["always", "average", "validation"] | None = None,
        sync_threshold: NotNegative = 0.75,
        sampling: Literal["corrected", "official"] | None = None,
        sync_dim: Count = 512,
        sync_windows: Count = 1024,
        temperature: NotNegative | None = None,
        seed: Seed | None = 0,
        sigma: NotNegative | None = None,
        mouth_sigma: NotNegative | None = None,
    ) -> None:
        super().__init__()
        o = merge_preset(PRESETS[compat], locals())
        if halves not in (1, 2) or audio_dim % halves or latent % 2:
            raise VisemixError(
                f"motion.halves={halves} is 1, or 2 of {audio_dim} channels; motion.latent={latent} is even"
            )
        self.halves, self.rate, self.latent, self.seed = halves, o["rate"], latent, seed
        self.temperature, self.sigma, self.mouth_sigma = o["temperature"], o["sigma"], o["mouth_sigma"]
        self.kl_weight, self.continuity_weight = o["kl_weight"], o["continuity_weight"]
        self.learned_variance = RunningMean() if self.kl_weight is None else None
        self.ahead, self.radius = ahead, smoothing_radius(self.sigma, self.mouth_sigma)
        self.early = 0 if ahead is None else ahead - (STRIDE - 1) - self.radius  # a latent's first frame hears its last
        if self.early < 0:
            raise VisemixError(
                f"motion.ahead={ahead} is {STRIDE - 1 + self.radius} frames or more: {STRIDE - 1} of a latent and "
                f"{self.radius} that motion.sigma={self.sigma} and motion.mouth_sigma={self.mouth_sigma} smooth over"
            )
        causal, width = ahead is not None, face.width(self.space)
        self.coordinates_per_number = width * STRIDE / latent
        self.coordinates_per_expression = width / face.width(Space.EXPRESSION)
        shape = {"kernel": kernel, "growth": o["growth"], "norm": o["norm"]}
        blend = {"overlap": o["overlap"], "causal": causal}
        self.lm3d = LM3D(face, o["identity"])
        self.condition = Condition(audio_dim // halves, causal=causal)
        # the condition at the latents' rate
        self.slow = nn.Conv1d(CONDITION, CONDITION, 2 * STRIDE, STRIDE, 0 if causal else STRIDE // 2)
        self.posterior = Posterior(width, o["channels"], latent, encoder_layers, **shape)
        self.decoder = Decoder(width, o["channels"], latent, decoder_layers, **blend, **shape)
        self.flow = Flow(latent, CONDITION, growth=o["growth"], causal=causal) if flow else None
        about = {"halves": halves, "identity": o["identity"], "sampling": o["sampling"]}
        self.sync_guide = SyncGuide(audio_dim, face, **about, dim=sync_dim, windows=sync_windows) if sync else None
        self.trigger = DelayedWeight(o["sync_weight"], o["sync_start"], sync_threshold) if sync else None

    @property
    def context(self) -> tuple[int, int]:
        """Frames before and after its own that a frame hears of, the first a multiple of 4."""
        latents = (0, 0) if self.flow is None else self.flow.context
        frames = total_context(self.decoder.net.context, self.condition.context, (self.radius, self.radius))
        past, ahead = (STRIDE * (rows + 2) + more for rows, more in zip(latents, frames, strict=True))
        return -(-past // STRIDE) * STRIDE, ahead if self.ahead is None else self.ahead

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """One of the motions that fit the sound: that of the option `seed`, or another each time without one."""
        return self.draw(audio, subject, self._seed())

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        """One of the motions that fit the sound: the one of this seed."""
        return self.lm3d.unpack(self._generate(audio.values, seed, 0), subject)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        seed, done = self._seed(), 0
        pieces = (piece.values for piece in audio)
        for rows, first, last in rechunk(pieces, BLOCK, *self.context, whole=STRIDE):
            with torch.no_grad():
                values = self._generate(rows, seed, (done - first) // STRIDE)[:, first:last]
            done += last - first
            yield self.lm3d.unpack(values, subject)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """Reconstruction, KL divergence, continuity and sync, weighted; the last is 0 until guidance begins."""
        coded = self._encode(audio, subject, target)
        delta = coded.decoded - coded.truth
        steps = (delta.diff(dim=1).square().sum() + delta[:, 0].square().sum()) / delta.numel()
        error = delta.square().mean()
        kl_weight = self.kl_weight
        if self.learned_variance is not None:
            variance = self.learned_variance(error.detach() * self.coordinates_per_expression)
            kl_weight = 2 * variance / self.coordinates_per_number
        losses = {"reconstruction": error, "kl": kl_weight * coded.divergence.mean()}
        if self.continuity_weight:
            losses["continuity"] = self.continuity_weight * steps
        if self.sync_guide is not None and self.trigger is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.trigger.running):
                sync = self.sync_guide.loss(audio, subject, self.lm3d.unpack(coded.decoded, subject))
            losses["sync"] = self.trigger(sync)
        return losses

    @property
    def variance(self) -> float:
        """Of true motions about the decoded ones along one expression, cm²: learned, or what the KL weight means."""
        if self.learned_variance is None:
            return float(self.kl_weight) * self.coordinates_per_number / 2
        return float(self.learned_variance.mean)

    @torch.no_grad()
    def measure(self, audio: AudioFeatures, subject: Subject, target: Motion) -> dict[str, Tensor]:
        """The evidence lower bound and its KL divergence, both in nats a frame, of landmarks in centimetres
        that move as expressions do; how many of a latent's numbers are active (their mean varies by more than 0.01;
        Burda et al. 2016); and the error's σ along one expression, mm. One draw from torch's global generator."""
        coded = self._encode(audio, subject, target)
        variance = torch.tensor(self.variance)
        squares = (coded.decoded - coded.truth).square().sum(2).mean()
        expressions = coded.truth.shape[2] / self.coordinates_per_expression
        said = -0.5 * (squares / variance + expressions * (2 * math.pi * variance).log())
        divergence = coded.divergence.sum(1).mean() / STRIDE
        active = (coded.mean.transpose(0, 1).flatten(1).var(1, correction=0) > ACTIVE).sum()
        return {
            "elbo": said - divergence,
            "kl_nats": divergence,
            "active_units": active.float(),
            "sigma_mm": 10 * variance.sqrt(),
        }

    def _encode(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Encoded:
        frames = target.values.shape[1]
        truth = _pad_to_latents(self.lm3d.pack(target, subject))
        condition, slow = self._condition_at_rates(audio.values)
        z, mean, log_posterior = self.posterior(truth, slow)
        prior = z if self.flow is None else self.flow(z, slow)
        decoded = self.decoder(z, condition)[:, :frames]
        return Encoded(decoded, truth[:, :frames], mean, log_posterior - log_normal(prior))

    def _generate(self, audio: Tensor, seed: int, first: int) -> Float[Tensor, "B T 204"]:
        """Rows for this stretch of sound, which begins at latent `first` of the whole."""
        frames = audio.shape[1]
        condition, slow = self._condition_at_rates(audio)
        z = self.temperature * noise(seed, first, slow.shape[-1], self.latent).to(slow).expand(len(slow), -1, -1)
        z = z if self.flow is None else self.flow.inverse(z, slow)
        return smooth_landmarks(self.decoder(z, condition)[:, :frames], self.sigma, self.mouth_sigma)

    def _condition_at_rates(self, audio: Tensor) -> tuple[Float[Tensor, "B G T"], Float[Tensor, "B G R"]]:
        """The condition at the frames' rate and at the latents'."""
        condition = self.condition(_pad_to_latents(self._rows(audio)).mT)
        if self.ahead is None:
            return condition, self.slow(condition)
        condition = F.pad(condition[:, :, self.early :], (0, self.early))
        return condition, self.slow(F.pad(condition, (STRIDE, 0)))

    def _rows(self, values: Tensor) -> Tensor:
        rows = split_halves(values, self.halves).unflatten(1, (-1, self.halves))
        return rows.mean(2) if self.rate == "mean" else rows[:, :, 0]

    def _seed(self) -> int:
        return int(torch.randint(2**31, ())) if self.seed is None else self.seed


def _pad_to_latents(rows: Float[Tensor, "B T C"]) -> Float[Tensor, "B W C"]:
    """As many rows as whole latents need, the last one repeated."""
    return F.pad(rows.mT, (0, -rows.shape[1] % STRIDE), mode="replicate").mT
