"""Learning rates as functions of the epoch, counted from 0."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """A staircase: from each epoch on, its rate. `rates`: ((0, 0.01), (100, 0.001), ...)."""

    rates: tuple[tuple[int, float], ...]

    def __call__(self, epoch: int) -> float:
        return [rate for start, rate in self.rates if epoch >= start][-1]

    def __str__(self) -> str:
        return ", ".join(f"{rate:g} from epoch {start}" for start, rate in self.rates)
