"""What happens to a network while it trains, by step: measured by `signals.Watch`."""

import matplotlib
import numpy as np

from course_lib.figures import palette
from course_lib.figures.canvas import STYLE, TEXT, as_figure, canvas, end_labels


def steps(series: dict, *, label, alt, caption="", log=False, lines=(), across="step"):
    """One line per condition against the step of training, or against what `across` names.

    series: name -> (steps, values), two sequences of one length. log: a logarithmic axis, on which
        a line ends with a cross where its value falls to zero.
    """
    styles, ends = palette.styles(series), []
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas()
        axis = axes[0, 0]
        if log:
            axis.set_yscale("log")
        for name, (at, values) in series.items():
            at, values = np.asarray(at), np.asarray(values, dtype=float)
            gone = np.flatnonzero(values <= 0)
            last = gone[0] if log and len(gone) else len(values)
            colour = styles[name].colour
            axis.plot(at[:last], values[:last], color=colour, clip_on=False)
            dead = last < len(values)
            mark = (
                {"marker": "x", "ms": 8, "mew": 2}
                if dead
                else {"marker": styles[name].mark, "ms": 5}
            )
            axis.plot(at[last - 1], values[last - 1], color=colour, clip_on=False, **mark)
            ends.append((at[last - 1], values[last - 1], name))
        for height in lines:
            axis.axhline(height, color=TEXT, linestyle=":", linewidth=1, zorder=0)
        axis.set(xlabel=across, ylabel=label)
        axis.set_xlim(right=max(max(at) for at, _ in series.values()))  # names stand beyond
        end_labels(axis, ends)
        return as_figure(drawn, alt, caption)


def heat(panels: dict, names, *, label, alt, caption=""):
    """A panel per condition: layer against step, the value as a colour on a logarithmic scale.

    panels: name -> (steps, values), values of shape (measurements, layers); names: of the layers,
        from the first to the last, shown from top to bottom. Zero is left blank.
    """
    everything = np.concatenate([np.ravel(values) for _, values in panels.values()])
    positive = everything[everything > 0]
    norm = matplotlib.colors.LogNorm(positive.min(), positive.max())
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 11, "axes.spines.top": True,
                                "axes.spines.right": True}):  # fmt: skip
        drawn, axes = canvas(height=3.4, columns=len(panels), sharey=True)
        for axis, (name, (at, values)) in zip(axes.flat, panels.items(), strict=True):
            values = np.ma.masked_less_equal(np.asarray(values, dtype=float).T, 0)
            half = (at[1] - at[0]) / 2
            edges = (at[0] - half, at[-1] + half, len(names) - 0.5, -0.5)
            shown = axis.imshow(values, norm=norm, cmap="cividis", aspect="auto",
                                interpolation="nearest", extent=edges)  # fmt: skip
            axis.set(title=name, xlabel="step")
        axes[0, 0].set_yticks(range(len(names)), names)
        drawn.colorbar(shown, ax=axes, label=label, shrink=0.9)
        return as_figure(drawn, alt, caption)
