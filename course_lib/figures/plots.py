"""Curves, comparisons and pictures of the book, in one style that is right on white and on black.

Every function returns a `Figure`: inline SVG whose text and axes take the page's text colour.
"""

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from course_lib import records
from course_lib.figures import palette
from course_lib.figures.canvas import STYLE, TEXT, as_figure, canvas, empty, end_labels


def curves(histories: dict, curve="test_accuracy", *, label, alt, caption="", lines=()):
    """One line per condition against the epoch, its name at the end, in its colour of the palette.

    histories: name -> a history, or a list of histories (seeds), then their mean with the spread
        from lowest to highest as a band; an empty list is "not recorded yet".
    curve: or two of them, ("accuracy", "test_accuracy"); the first is then dashed.
    label: of the vertical axis; accuracies are shown in percent.
    lines: heights of dotted lines, a reported figure, say; the caption names them.
    """
    which = (curve,) if isinstance(curve, str) else curve
    if not any(histories.values()):
        return empty(f"Not recorded yet: {', '.join(histories)}.")
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas()
        axis = axes[0, 0]
        ends = []
        styles = palette.styles(histories)
        for name, runs in histories.items():
            colour, mark = styles[name]
            runs = runs if isinstance(runs, list) else [runs]
            if not runs:
                caption = f"{caption} Not recorded yet: {name}.".strip()
                continue
            for k, key in enumerate(which):
                values = np.array([r[key] for r in runs]) * (100 if "accuracy" in key else 1)
                epochs = np.arange(1, values.shape[1] + 1)
                style = "--" if k == 0 and len(which) > 1 else "-"
                dots = mark if len(epochs) <= 30 else None  # more of them hide whether it is dashed
                axis.plot(epochs, values.mean(0), style, color=colour, marker=dots, markersize=4,
                          clip_on=False)  # fmt: skip
                if len(runs) > 1:
                    axis.fill_between(
                        epochs, values.min(0), values.max(0), color=colour, alpha=0.25, lw=0
                    )
            ends.append((epochs[-1], values.mean(0)[-1], name))
        for height in lines:
            axis.axhline(height, color=TEXT, linestyle=":", linewidth=1, zorder=0)
        axis.set(xlabel="epoch", ylabel=label)
        # Names stand clear of lines.
        axis.set_xlim(right=max((x for x, _, _ in ends), default=None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        end_labels(axis, ends)
        return as_figure(drawn, alt, caption)


def layers(series: dict, names, *, label, alt, caption="", lines=(), log=True):
    """One line per condition over the layers of a network, on a logarithmic axis or one with 0.

    series: name -> a value per layer, or a list of such rows (seeds), shown as mean and band.
    names: of the layers, "" for one that goes unnamed. lines: heights of dotted lines; the caption
        names them. log: a logarithmic axis, and the geometric mean.
    """
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas(height=3.6)
        axis = axes[0, 0]
        if log:
            axis.set_yscale("log")
        ends = []
        at = np.arange(len(names))
        styles = palette.styles(series)
        for name, rows in series.items():
            colour, mark = styles[name]
            rows = np.atleast_2d(np.asarray(rows, dtype=float))
            # On a logarithmic axis the mean is geometric.
            middle = np.exp(np.log(rows).mean(0)) if log else rows.mean(0)
            axis.plot(at, middle, color=colour, marker=mark, markersize=4.5, clip_on=False)
            axis.fill_between(at, rows.min(0), rows.max(0), color=colour, alpha=0.25, lw=0)
            ends.append((at[-1], middle[-1], name))
        for height in lines:
            axis.axhline(height, color=TEXT, linestyle=":", linewidth=1, zorder=0)
        axis.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set(ylabel=label)
        axis.set_xlim(right=at[-1])  # names stand beyond
        if not log:
            axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        end_labels(axis, ends)
        return as_figure(drawn, alt, caption)


def seeds(histories: dict, above: float, curve="test_accuracy", *, label, alt="", caption=""):
    """A panel per condition, every seed a line with a dot at its end, and how many got anywhere.

    For runs of which some die and some live: a mean says nothing of them.
    histories: name -> a list of histories, one per seed; an empty list is "not recorded yet".
    above: in the units shown (accuracies in percent), a dotted line; a panel's title counts the
        seeds that were ever above it and those that ended there.
    """
    missing = [name for name, runs in histories.items() if not runs]
    histories = {name: runs for name, runs in histories.items() if runs}
    styles, told = palette.styles(histories), []
    scale = 100 if "accuracy" in curve else 1
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 10}):
        columns = 1 if len(histories) == 1 else 2
        rows = max(-(-len(histories) // columns), 1)
        drawn, axes = canvas(height=2.0 * rows + 0.3, rows=rows, columns=columns,
                               sharex=True, sharey=True)  # fmt: skip
        for axis in axes.flat[len(histories) :]:
            axis.set_visible(False)
        for axis, (name, runs) in zip(axes.flat, histories.items(), strict=False):
            values = [scale * np.asarray(run[curve]) for run in runs]
            ever, ended = (sum(v > above for v in which) for which in
                           ([v.max() for v in values], [v[-1] for v in values]))  # fmt: skip
            for v in values:
                epochs = np.arange(1, len(v) + 1)
                axis.plot(epochs, v, color=styles[name].colour, lw=1.4, alpha=0.85)
                axis.plot(epochs[-1], v[-1], styles[name].mark, color=styles[name].colour, ms=5)
            axis.axhline(above, color=TEXT, linestyle=":", linewidth=1, zorder=0)
            axis.set_title(f"{name}\n{ever} of {len(runs)} ever, {ended} at the end", loc="left")
            axis.xaxis.get_major_locator().set_params(integer=True)
            unit = " %" if scale == 100 else ""
            told.append(f"{name}: {ever} of {len(runs)} seeds ever above {above:g}{unit}, "
                        f"{ended} at the end")  # fmt: skip
        for axis in axes[:, 0]:
            axis.set_ylabel(label)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        told += [f"{name}: not recorded yet" for name in missing]
        counts = "; ".join(told) + "."
        return as_figure(drawn, alt or f"Every seed a line. {counts}", caption or counts)


def forest(pairs, profile=None, *, alt="", caption=""):
    """Differences of the final test accuracy: a row per pair, all seeds, Welch's 95 % interval.

    pairs: of experiments or ids, (a, b) for "a against b", or what `records.comparison` gives;
        profile: as there.
    A filled mark is a seed of a, a hollow one a seed of b, both less the mean of b; the bar is the
    interval of the difference. What is undecided is grey.
    """
    found = [p if isinstance(p, records.Comparison) else records.comparison(*p, profile)
             for p in pairs]  # fmt: skip
    shown = [c for c in found if c.first and c.second]
    missing = [" against ".join(c.names) for c in found if c not in shown]
    if not shown:
        return empty(f"Not recorded yet: {'; '.join(missing)}.")
    said = {c: _row(c) for c in shown}
    pitch = 0.82 if "\n" in "".join(said.values()) else 0.62
    with matplotlib.rc_context(STYLE):
        drawn, axes = canvas(height=pitch * len(shown) + 0.8)
        axis = axes[0, 0]
        for row, c in enumerate(reversed(shown)):
            decided = c.verdict in ("better", "worse")
            colour = palette.colour(c.names[0]) if decided else palette.GREY
            middle = np.mean(c.second)
            axis.plot([0, 0], [row - 0.36, row + 0.22], color=TEXT, linewidth=1, zorder=0)
            axis.plot(c.first - middle, [row + 0.1] * len(c.first), "o", color=colour, ms=5)
            axis.plot(c.second - middle, [row - 0.18] * len(c.second), "o", color=colour,
                      ms=5, fillstyle="none")  # fmt: skip
            if c.low is not None:
                axis.plot([c.low, c.high], [row + 0.1] * 2, color=colour, lw=5, alpha=0.35,
                          solid_capstyle="butt")  # fmt: skip
            axis.plot([c.gap] * 2, [row - 0.04, row + 0.24], color=colour, lw=2.4)
            axis.annotate(said[c], (0, row + 0.32), xycoords=("axes fraction", "data"), fontsize=10)
        axis.margins(x=0.06)
        axis.set(xlabel="difference of the test accuracy, points", ylim=(-0.5, len(shown) - 0.3))
        axis.xaxis.set_major_locator(MaxNLocator(5, prune="both"))  # no number over the edge
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        decided = sum(c.verdict in ("better", "worse") for c in shown)
        read = (
            f"{decided} of {len(shown)} differences are decided. Filled: seeds of the first; "
            "hollow: of the second, around its mean. Bar: 95 % interval of the difference. "
            "Grey: undecided."
        )
        read += f" Not recorded yet: {'; '.join(missing)}." if missing else ""
        sentences = " ".join(map(str, found))
        return as_figure(
            drawn, alt or f"Differences of test accuracy. {sentences}", caption or read
        )


def _row(c: records.Comparison) -> str:
    """What stands above a row, on two lines where one would go beyond the edge."""
    families = {name.rpartition("/")[0] for name in c.names}
    first, second = (n.rpartition("/")[2] if len(families) == 1 else n for n in c.names)
    said = f"{first} against {second}: {c.gap:+.1f}, {c.verdict}".replace(": -", ": −")
    return said if len(said) <= 60 else said.replace(" against", "\nagainst")


def pictures(images, titles=None, *, columns=5, high=0.0, alt, caption="", note=""):
    """A grid of uint8 images (count, height, width, 3), a short title above each.

    high: inches of a row with its titles; 0 is right for small images.
    note: a line above the grid, "drawn by code, not photographs", say.
    """
    rows = -(-len(images) // columns)
    high = high or (1.35 if titles else 1.1)
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 9}):
        drawn, axes = canvas(height=rows * high + 0.3, rows=rows,
                               columns=columns)  # fmt: skip
        for axis in axes.flat:
            axis.axis("off")
        for k, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
            axis.imshow(image, interpolation="nearest")
            if titles:
                axis.set_title(titles[k])
        if note:
            drawn.suptitle(note, fontsize=10)
        return as_figure(drawn, alt, caption)


def gallery(rows: dict, *, alt, caption="", gap=2):
    """Pictures in rows, the name of each row at its left.

    rows: name -> images (count, height, width, 3) uint8, all of one size; gap: pixels between.
    """
    height, width = next(iter(rows.values())).shape[1:3]
    most = max(map(len, rows.values()))
    shape = len(rows) * (height + gap) - gap, most * (width + gap) - gap, 4
    sheet = np.zeros(shape, np.uint8)  # between pictures the page shows through
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width, :3] = image
            sheet[top : top + height, left : left + width, 3] = 255
    with matplotlib.rc_context({**STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        drawn, axes = canvas(height=3.7 * shape[0] / shape[1] + 0.1)
        drawn.get_layout_engine().set(w_pad=0.1)  # names are wider in some browsers' type
        axis = axes[0, 0]
        axis.imshow(sheet, interpolation="nearest")
        axis.set_xticks([])
        middles = [row * (height + gap) + height / 2 for row in range(len(rows))]
        axis.set_yticks(middles, list(rows))
        axis.tick_params(length=0)
        return as_figure(drawn, alt, caption)
