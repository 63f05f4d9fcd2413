"""Learning rates as functions of the epoch, counted from 0."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """A staircase: from each epoch on, its rate. `rates`: ((0, 0.01), (100, 0.001), ...).

    late: epochs by which every drop comes late. Keras' ResNet example asks `epoch > 80` where
    `epoch >= 80` was meant: late=1.
    """

    rates: tuple[tuple[int, float], ...]
    late: int = 0

    def __call__(self, epoch: int) -> float:
        starts = [(start + self.late if start else 0, rate) for start, rate in self.rates]
        return [rate for start, rate in starts if epoch >= start][-1]

    def __str__(self) -> str:
        late = ", every drop an epoch late" if self.late else ""
        return ", ".join(f"{rate:g} from epoch {start}" for start, rate in self.rates) + late


@dataclass(frozen=True)
class Polynomial:
    """`rate` · (1 - epoch / epochs)^power: 0 would be reached after the last epoch.

    Power 1 is a straight line down; larger powers fall early and creep to the end.
    """

    rate: float
    power: float
    epochs: int

    def __call__(self, epoch: int) -> float:
        return self.rate * (1 - epoch / self.epochs) ** self.power

    def __str__(self) -> str:
        return f"{self.rate:g} · (1 - epoch / {self.epochs})^{self.power:g}"
