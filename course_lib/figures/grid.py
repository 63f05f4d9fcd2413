"""A matrix as colours: who reads whom, what is taken for what."""

import matplotlib
import numpy as np

from course_lib.figures.canvas import STYLE, as_figure, canvas


def matrix(panels: dict, rows, columns, *, across, down="", label, alt, caption=""):
    """A panel per condition, side by side, its values as colours on one scale; NaN is left blank.

    panels: name -> values of shape (rows, columns). rows, columns: their names. across, down: what
        the columns and the rows are. label: of the scale.
    """
    panels = {name: np.ma.masked_invalid(values) for name, values in panels.items()}
    low = min(values.min() for values in panels.values())
    high = max(values.max() for values in panels.values())
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 11, "axes.spines.left": False,
                                "axes.spines.bottom": False}):  # fmt: skip
        drawn, axes = canvas(height=3.5, columns=len(panels), sharey=True)
        for axis, (name, values) in zip(axes.flat, panels.items(), strict=True):
            shown = axis.imshow(values, vmin=low, vmax=high, cmap="cividis", aspect="auto",
                                interpolation="nearest")  # fmt: skip
            axis.set(title=name, xlabel=across)
            axis.set_xticks(range(len(columns)), columns)
            axis.tick_params(length=0)
        axes[0, 0].set(ylabel=down)
        axes[0, 0].set_yticks(range(len(rows)), rows)
        drawn.colorbar(shown, ax=axes, label=label, shrink=0.9)
        return as_figure(drawn, alt, caption)
