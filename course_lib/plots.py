"""Curves, pictures and tables of the book, in one style that is right on white and on black.

Every function returns a `Figure`: inline SVG whose text and axes take the page's text colour.
"""

import io
import re
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas  # not pyplot: nothing to close, nothing global

from course_lib.figure import Figure

# Okabe and Ito's palette, which the colour-blind can read; black is left to the text.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")

# A colour that nothing else uses: it becomes `currentColor` in the finished SVG.
_TEXT = "#010203"
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and zoomed
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def _figure(canvas: Canvas, alt: str, caption: str) -> Figure:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # ids must not repeat between figures of a page
    size = re.search(r' width="([\d.]+)pt" height="[\d.]+pt"', svg)
    # As wide as drawn where there is room, else as wide as the page; 1 pt is 4/3 px.
    fluid = f' style="width:100%;height:auto;max-width:{float(size[1]) * 4 / 3:.0f}px"'
    return Figure(svg.replace(size[0], fluid, 1), alt, caption)


def _canvas(width=5.6, height=3.2, rows=1, columns=1, **options):
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        return canvas, canvas.subplots(rows, columns, squeeze=False, **options)


def _end_labels(axis, labels: list[tuple[float, float, str]]):
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


def curves(histories: dict, curve="test_accuracy", *, label, alt, caption="", lines=()):
    """One line per name against the epoch, the name at its end.

    histories: name -> a history, or a list of histories (seeds), then their mean with the spread
        from lowest to highest as a band; an empty list is "not recorded yet".
    curve: or two of them, ("accuracy", "test_accuracy"); the first is then dashed.
    label: of the vertical axis; accuracies are shown in percent.
    lines: heights of dotted lines, a reported figure, say; the caption names them.
    """
    which = (curve,) if isinstance(curve, str) else curve
    with matplotlib.rc_context(_STYLE):
        canvas, axes = _canvas()
        axis = axes[0, 0]
        ends = []
        for colour, (name, runs) in zip(cycle(COLOURS), histories.items(), strict=False):
            runs = runs if isinstance(runs, list) else [runs]
            if not runs:  # keeps its place and its colour among the others
                caption = f"{caption} Not recorded yet: {name}.".strip()
                continue
            for k, key in enumerate(which):
                values = np.array([r[key] for r in runs]) * (100 if "accuracy" in key else 1)
                epochs = np.arange(1, values.shape[1] + 1)
                style = "--" if k == 0 and len(which) > 1 else "-"
                axis.plot(epochs, values.mean(0), style, color=colour, marker="o", markersize=3)
                if len(runs) > 1:
                    axis.fill_between(
                        epochs, values.min(0), values.max(0), color=colour, alpha=0.25, lw=0
                    )
            ends.append((epochs[-1], values.mean(0)[-1], name))
        for height in lines:
            axis.axhline(height, color=_TEXT, linestyle=":", linewidth=1, zorder=0)
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        _end_labels(axis, ends)
        return _figure(canvas, alt, caption)


def layers(series: dict, names, *, label, alt, caption="", lines=()):
    """One line per name over the layers of a network, on a logarithmic axis.

    series: name -> a value per layer, or a list of such rows (seeds), shown as mean and band.
    names: of the layers. lines: heights of dotted lines; the caption names them.
    """
    with matplotlib.rc_context(_STYLE):
        canvas, axes = _canvas(height=3.6)
        axis = axes[0, 0]
        axis.set_yscale("log")
        ends = []
        at = np.arange(len(names))
        for colour, (name, rows) in zip(cycle(COLOURS), series.items(), strict=False):
            rows = np.atleast_2d(np.asarray(rows, dtype=float))
            middle = np.exp(np.log(rows).mean(0))  # geometric: the axis is logarithmic
            axis.plot(at, middle, color=colour, marker="o", markersize=4)
            axis.fill_between(at, rows.min(0), rows.max(0), color=colour, alpha=0.25, lw=0)
            ends.append((at[-1], middle[-1], name))
        for height in lines:
            axis.axhline(height, color=_TEXT, linestyle=":", linewidth=1, zorder=0)
        axis.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set(ylabel=label)
        _end_labels(axis, ends)
        return _figure(canvas, alt, caption)


def pictures(images, titles=None, *, columns=5, alt, caption="", note=""):
    """A grid of uint8 images (count, height, width, 3), a short title above each.

    note: a line above the grid, "drawn by code, not photographs", say.
    """
    rows = -(-len(images) // columns)
    with matplotlib.rc_context({**_STYLE, "axes.titlesize": 9}):
        canvas, axes = _canvas(height=rows * (1.35 if titles else 1.1) + 0.3, rows=rows,
                               columns=columns)  # fmt: skip
        for axis in axes.flat:
            axis.axis("off")
        for k, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
            axis.imshow(image, interpolation="nearest")
            if titles:
                axis.set_title(titles[k])
        if note:
            canvas.suptitle(note, fontsize=10)
        return _figure(canvas, alt, caption)
