"""What one can find out about a network: its size, its signal, its answers."""

from course_lib.measure.counting import padding, rows, stages

__all__ = ["Signal", "Watch", "agreement", "forward", "gradients", "padding", "rows", "stages"]
__all__ += ["reads", "silenced", "Costs", "Trail"]


def __getattr__(name: str):
    """What needs Keras is imported when it is asked for: counting, and so drawing, does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from course_lib.measure import signals, sources, watching

    rooms = (sources, watching, signals)
    return getattr(next(room for room in rooms if hasattr(room, name)), name)
