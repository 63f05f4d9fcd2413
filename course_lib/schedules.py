"""Learning rates as functions of the epoch, counted from 0."""

import msgspec


def shortened(epochs: int, by: int) -> int:
    """`epochs` / `by` to the nearest whole number; a half goes up."""
    return (2 * epochs + by) // (2 * by)


class Steps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A staircase: from each epoch on, its rate. `rates`: ((0, 0.01), (100, 0.001), ...).

    late: epochs by which every drop comes late. Keras' ResNet example asks `epoch > 80` where
    `epoch >= 80` was meant: late=1.
    """

    rates: tuple[tuple[int, float], ...]
    late: int = 0

    def __call__(self, epoch: int) -> float:
        return [rate for start, rate in self._starts() if epoch >= start][-1]

    def _starts(self) -> list[tuple[int, float]]:
        return [(start + self.late if start else 0, rate) for start, rate in self.rates]

    def divided(self, by: int) -> "Steps":
        """The same stairs in a `by`-th of the epochs; a lateness goes into the drops."""
        return Steps(tuple((shortened(start, by), rate) for start, rate in self._starts()))

    def __str__(self) -> str:
        late = ", every drop an epoch late" if self.late else ""
        return ", ".join(f"{rate:g} from epoch {start}" for start, rate in self.rates) + late


class Polynomial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate` · (1 - epoch / epochs)^power: 0 would be reached after the last epoch.

    Power 1 is a straight line down; larger powers fall early and creep to the end.
    """

    rate: float
    power: int | float  # as it is written, which a configuration's digest keeps
    epochs: int

    def __call__(self, epoch: int) -> float:
        return self.rate * (1 - epoch / self.epochs) ** self.power

    def divided(self, by: int) -> "Polynomial":
        """The same curve over a `by`-th of the epochs."""
        return msgspec.structs.replace(self, epochs=shortened(self.epochs, by))

    def __str__(self) -> str:
        return f"{self.rate:g} · (1 - epoch / {self.epochs})^{self.power:g}"
