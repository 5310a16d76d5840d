"""The post-net's stage, and when it ends: early, since too long a training collapses onto a few expressions."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visemix.data.domains import Domains
from visemix.motion.postnet import MotionExample, PostNet
from visemix.training.pictures import domain_map
from visemix.training.stage import StageModule
from visemix.types import Clip, Losses

log = logging.getLogger(__name__)

GAP = 0.05  # between the critic's mean scores of true and made frames
OFF = 0.1  # of either from 0.5, where a critic stands that can no longer tell
SLACK = 1.1  # times the lowest sync loss so far
SPREAD = 0.8  # of the truth's standard deviation over time, mean over the coordinates
MEMORY = 0.98  # of the running means over steps


@dataclass
class CheckpointChoice:
    """Early stopping of the post-net: at the first validation at which critic, sync, spread and error are all settled.

    Before the critic has learnt anything, it cannot tell either: so its scores must also have come to 0.5, and the
    error on the person's own sound must have stopped falling by more than a tenth from one validation to the next.
    """

    real: float | None = None  # running means of the critic's scores
    fake: float | None = None
    lowest_sync: float = float("inf")
    last_error: float = float("inf")

    def add_scores(self, real: float, fake: float) -> None:
        """Update the running means by another step's mean critic scores."""
        self.real = real if self.real is None else MEMORY * self.real + (1 - MEMORY) * real
        self.fake = fake if self.fake is None else MEMORY * self.fake + (1 - MEMORY) * fake

    def objections(self, sync: float, spread: float, error: float) -> list[str]:
        """Reasons against ending here; none if it is settled. Remembers the sync loss and the error."""
        self.lowest_sync = min(self.lowest_sync, sync)
        falling, self.last_error = error * SLACK < self.last_error, error
        real, fake = self.real or 0.0, self.fake or 0.0
        found = []
        if abs(real - fake) >= GAP or max(abs(real - 0.5), abs(fake - 0.5)) >= OFF:
            found.append(f"the critic is not at rest (scores {real:.2f} of true frames, {fake:.2f} of made ones)")
        if falling:
            found.append(f"the error still falls, to {error:.3g}")
        if sync > SLACK * self.lowest_sync:
            found.append(f"sync loss {sync:.3f} is above its lowest, {self.lowest_sync:.3f}")
        if spread < SPREAD:
            found.append(f"motion spreads {spread:.2f} times as far as the person's")
        return found


class PostnetModule(StageModule):
    """Trains the post-net on batches of `Domains`, and stops the stage at the checkpoint that `CheckpointChoice`
    takes."""

    name, host_part, requires, unfreezes, paired = "postnet", "motion", ("sync", "motion"), True, True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choice = CheckpointChoice()
        self._held: list[dict[str, Tensor]] = []
        self._made: Tensor  # by the step's first half, for the critic in its second

    @property
    def stage(self) -> PostNet:
        """The post-net, inside whatever wraps it."""
        return next(module for module in self.model.motion.modules() if isinstance(module, PostNet))

    @property
    def critic(self) -> nn.Module:
        """The post-net's critic of single frames."""
        return self.stage.postnet_critic

    def losses(self, batch: Domains) -> Losses:
        """The post-net's losses on both domains; what it made of the many is kept for `critic_losses`."""
        losses, self._made = self.stage.adapt(*self._inputs(batch))
        return losses

    def critic_losses(self, batch: Domains) -> Losses:
        """The critic's loss on what `losses` made of the same batch; `choice` takes in its mean scores."""
        real, fake = self.stage.critic_scores(self._made, batch.person.motion, batch.person.subject)
        self.choice.add_scores(real.mean().item(), fake.mean().item())
        return self.stage.critic_loss(real, fake)

    def picture(self, batch: Domains) -> Tensor:
        """t-SNE map (3, H, W) of the motions before and after the post-net, among the person's own and the many's."""
        rows = self.stage.measure(*self._inputs(batch))
        return domain_map({name: rows[name].flatten(0, 1) for name in ("many", "before", "after", "truth")})

    def validation_step(self, batch: Domains, step: int) -> None:
        """Report a batch's losses, and keep its motions and errors for the end of the validation."""
        inputs = self._inputs(batch)
        losses, _ = self.stage.adapt(*inputs)
        self._report(losses, "val", batch)
        zero = torch.zeros(())
        self._held.append({**self.stage.measure(*inputs), **{k: losses.get(k, zero) for k in ("sync", "mse")}})

    def on_validation_epoch_end(self) -> None:
        """End the stage where `choice` objects to nothing; say what it objects to where the steps are over."""
        if not self._held:
            return
        rows = {name: torch.cat([held[name].flatten(0, 1) for held in self._held]) for name in ("after", "truth")}
        after, truth = (self._gathered(rows[name]).flatten(0, -2) for name in ("after", "truth"))
        spread = (after.std(0).mean() / truth.std(0).mean()).item()
        sync, error = (self._mean([held[name] for held in self._held]) for name in ("sync", "mse"))
        self._held.clear()
        if self.choice.real is not None and self.choice.fake is not None:  # what processes scored apart
            self.choice.real, self.choice.fake = (
                self._mean([after.new_tensor(score)]) for score in (self.choice.real, self.choice.fake)
            )
        objections = self.choice.objections(sync, spread, error)
        real, fake = self.choice.real or 0.0, self.choice.fake or 0.0
        self.log_dict({"val/spread": spread, "val/judged_real": real, "val/judged_fake": fake}, sync_dist=True)
        if not objections:
            self.trainer.should_stop = True
        elif self.trainer.global_step >= self.trainer.max_steps:
            log.warning("the post-net ends with its last step, not with a settled one: %s", "; ".join(objections))

    def _mean(self, values: list[Tensor]) -> float:
        return self._gathered(torch.stack(values)).mean().item()

    def _gathered(self, values: Tensor) -> Tensor:
        """From all processes: they must end together."""
        gathered = self.all_gather(values)
        assert isinstance(gathered, Tensor)
        return gathered

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the state of `choice`."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["choice"] = asdict(self.choice)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take `choice` up where the checkpoint left it."""
        super().on_load_checkpoint(checkpoint)
        self.choice = CheckpointChoice(**checkpoint["choice"])

    def _inputs(self, batch: Domains) -> tuple[MotionExample, MotionExample]:
        return self._example(batch.many), self._example(batch.person)

    def _example(self, clip: Clip) -> MotionExample:
        return self.model.audio(clip.speech), clip.subject, clip.motion
