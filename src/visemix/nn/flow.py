"""Normalising flow under a condition: between the latents of a posterior and standard normal noise."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from visemix.nn.wavenet import WaveNet, total_context


class Coupling(nn.Module):
    """Moves the second half of the channels by a function of the first half and the condition (Dinh et al. 2015).

    It only adds, so it keeps volumes: the log-determinant is 0. It starts as the identity.
    """

    def __init__(
        self, channels: int, condition: int, hidden: int, layers: int, kernel: int, growth: int, causal: bool
    ) -> None:
        super().__init__()
        self.kept = channels // 2
        self.before = nn.Conv1d(self.kept, hidden, 1)
        self.net = WaveNet(hidden, condition, layers, kernel, growth, causal=causal)
        self.after = nn.Conv1d(hidden, channels - self.kept, 1)
        for parameter in self.after.parameters():
            nn.init.zeros_(parameter)

    def shift(self, z: Float[Tensor, "B C R"], condition: Float[Tensor, "B G R"]) -> Float[Tensor, "B C R"]:
        """What is added to `z`, zero on the first half."""
        moved = self.after(self.net(self.before(z[:, : self.kept]), condition))
        return nn.functional.pad(moved, (0, 0, self.kept, 0))


class Flow(nn.Module):
    """Couplings with the order of the channels reversed after each: four of them restore it.

    `forward` goes from the posterior's latents to those of the standard normal, `inverse` back.
    """

    def __init__(
        self,
        channels: int,
        condition: int,
        *,
        flows: int = 4,
        hidden: int = 64,
        layers: int = 4,
        kernel: int = 3,
        growth: int = 1,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            Coupling(channels, condition, hidden, layers, kernel, growth, causal) for _ in range(flows)
        )

    @property
    def context(self) -> tuple[int, int]:
        """Rows before and after that a row depends on."""
        return total_context(*[coupling.net.context for coupling in self._couplings()])

    def forward(self, z: Float[Tensor, "B C R"], condition: Float[Tensor, "B G R"]) -> Float[Tensor, "B C R"]:
        """Latents of the standard normal, from the posterior's `z`."""
        for coupling in self._couplings():
            z = (z + coupling.shift(z, condition)).flip(1)
        return z

    def inverse(self, z: Float[Tensor, "B C R"], condition: Float[Tensor, "B G R"]) -> Float[Tensor, "B C R"]:
        """Latents of the posterior, from the standard normal's `z`: `forward` undone."""
        for coupling in reversed(self._couplings()):
            z = z.flip(1)
            z = z - coupling.shift(z, condition)
        return z

    def _couplings(self) -> list[Coupling]:
        return list(self.couplings)  # type: ignore[arg-type]
