"""What one can find out about a network: its size, its signal, its answers."""

from course_lib.measure.counting import rows, stages
from course_lib.measure.signals import Signal, Watch, forward, gradients

__all__ = ["Signal", "Watch", "forward", "gradients", "rows", "stages"]
