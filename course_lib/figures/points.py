"""Results against a quantity, a size, say: every run a dot, a line through the means."""

from statistics import mean

import matplotlib
from matplotlib.ticker import FuncFormatter, NullLocator

from course_lib.figures import palette
from course_lib.figures.canvas import STYLE, TEXT, as_figure, canvas, empty, end_labels


def points(series: dict, *, across, label, alt, caption="", log=False, lines=()):
    """One line per condition through the means of its dots, its name at the end.

    series: name -> (x, values) pairs in the order of x, the values a list, one for each run; a
        pair without values is left out, and a condition without any is "not recorded yet".
    across, label: of the axes. log: a logarithmic horizontal axis, for sizes. lines: heights of
        dotted lines; the caption names them.
    """
    if not any(len(values) for pairs in series.values() for _, values in pairs):
        return empty(f"Not recorded yet: {', '.join(series)}.")
    styles, ends, missing = palette.styles(series), [], []
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas(height=3.6)
        axis = axes[0, 0]
        if log:
            axis.set_xscale("log")
        for name, pairs in series.items():
            found = [(x, list(values)) for x, values in pairs if len(values)]
            if len(found) < max(len(pairs), 1):
                missing.append(name)
            if not found:
                continue
            colour, mark = styles[name]
            middles = [mean(values) for _, values in found]
            axis.plot([x for x, _ in found], middles, color=colour, zorder=1, clip_on=False)
            for x, values in found:
                axis.plot([x] * len(values), values, mark, color=colour, ms=4.5, alpha=0.75,
                          clip_on=False)  # fmt: skip
            ends.append((found[-1][0], middles[-1], name))
        for height in lines:
            axis.axhline(height, color=TEXT, linestyle=":", linewidth=1, zorder=0)
        if log and ends:  # thousands as a reader says them
            ticks = [n * 10**k for k in range(3, 8) for n in (1, 3)]
            low, high = axis.get_xlim()
            axis.set_xticks([t for t in ticks if low <= t <= high])
            axis.xaxis.set_major_formatter(FuncFormatter(_short))
            axis.xaxis.set_minor_locator(NullLocator())
        axis.set(xlabel=across, ylabel=label)
        end_labels(axis, ends)
        if missing:
            caption = f"{caption} Not recorded yet, or not all: {', '.join(missing)}.".strip()
        return as_figure(drawn, alt, caption)


def _short(value, _=None) -> str:
    """12000 as "12k", 3000000 as "3M"."""
    for least, unit in ((1e6, "M"), (1e3, "k")):
        if value >= least:
            return f"{value / least:g}{unit}"
    return f"{value:g}"
