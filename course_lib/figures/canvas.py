"""What all plots share: one style, right on white and on black, and names at the ends of lines."""

import io
import re

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas  # not pyplot: nothing to close, nothing global

from course_lib.figures.figure import Figure

# Inches: type of 11 points is then more than 11 pixels high in the 350 of a telephone.
WIDTH = 4.6

# A colour that nothing else uses: it becomes `currentColor` in the finished SVG.
TEXT = "#010203"
STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and zoomed
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def as_figure(drawn: Canvas, alt: str, caption: str) -> Figure:
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", transparent=True, metadata={})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # ids must not repeat between figures of a page
    size = re.search(r' width="([\d.]+)pt" height="[\d.]+pt"', svg)
    # As wide as drawn where there is room, else as wide as the page; 1 pt is 4/3 px.
    fluid = f' style="width:100%;height:auto;max-width:{float(size[1]) * 4 / 3:.0f}px"'
    return Figure(svg.replace(size[0], fluid, 1), alt, caption)


def canvas(width=WIDTH, height=3.2, rows=1, columns=1, **options):
    with matplotlib.rc_context(STYLE):
        drawn = Canvas(figsize=(width, height), layout="constrained")
        return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def end_labels(axis, labels: list[tuple[float, float, str]]):
    """Names at the ends of their lines, (x, y, text), pushed apart where they would collide.

    In the text's colour: no colour of the palette reads well on white and on black alike.
    """
    axis.figure.draw_without_rendering()  # only now is it known where a value lies in points
    points = 72 / axis.figure.dpi
    previous = -np.inf
    for x, y, text in sorted(labels, key=lambda label: label[1]):
        at = axis.transData.transform((x, y))[1] * points
        previous = max(at, previous + 13)
        axis.annotate(
            text,
            (x, y),
            xytext=(8, previous - at),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )


def empty(caption: str) -> Figure:
    """What stands where nothing of a plot is recorded: no axes without a value."""
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas(height=0.5)
        axes[0, 0].axis("off")
        axes[0, 0].text(0.5, 0.5, "not recorded yet", ha="center", va="center", style="italic")
        return as_figure(drawn, caption, caption)
