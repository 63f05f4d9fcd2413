"""What one can find out about a network: its size, its signal, its answers."""

from course_lib.measure.counting import padding, rows, stages

__all__ = ["Signal", "Watch", "agreement", "forward", "gradients", "padding", "rows", "stages"]
__all__ += ["reads", "silenced"]


def __getattr__(name: str):
    """What needs Keras is imported when it is asked for: counting, and so drawing, does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from course_lib.measure import signals, sources

    return getattr(sources if hasattr(sources, name) else signals, name)
