"""Block diagrams as SVG, drawn from numbers: one visual language for the whole course.

1x1 convolutions are blue, 3x3 orange, 5x5 vermilion, pooling grey, batch normalisation and
activations thin bands, joins green, bypasses arcs. A box is as high as its resolution and as wide
as its channels. Text and lines take the page's text colour (`currentColor`).
"""

from html import escape
from math import sqrt
from typing import NamedTuple

from course_lib import counting
from course_lib.figure import Figure

BLUE, ORANGE, VERMILION, GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"
GREY, SKY, PURPLE = "#8a8a8a", "#56B4E9", "#CC79A7"

# The fills of a stage's box, side by side: 1x1 filters make half of a fire module's channels.
FILLS = {"conv1": [BLUE], "conv3": [ORANGE], "conv5": [VERMILION], "fire": [BLUE, ORANGE]}
FILLS |= {"input": ["none"], "dense": ["none"], "pool": [GREY], "gap": [GREY]}

# What the last layer of a stage says about it; softmax and dropout are no boxes.
_KINDS = {"InputLayer": "input", "ReLU": "conv3", "MaxPooling2D": "pool", "Dense": "dense"}
_KINDS |= {"GlobalAveragePooling2D": "gap", "Softmax": "", "Dropout": ""}

# Narrow enough that 11 units are still 10 pixels on a telephone with 350 pixels for the page.
WIDTH = 360
MIDDLE = WIDTH / 2


class Stage(NamedTuple):
    """A step of a network: kind is a key of FILLS, size the height of its output in pixels,
    channels those of its output, note at most 20 characters."""

    name: str
    kind: str
    size: int
    channels: int
    note: str = ""


def svg(width: float, height: float, parts, max_width: int) -> str:
    """One <svg> element as wide as its place, but at most `max_width` pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="100%" '
        f'style="max-width:{max_width}px;display:block;margin:0 auto" '
        f'font-family="system-ui,sans-serif" fill="none">{"".join(parts)}</svg>'
    )


def box(x: float, y: float, w: float, h: float, colour: str, opacity: float = 0.3) -> str:
    """A rectangle with its corner at x, y, tinted so that text on it reads on any page; 1.5 units
    stay free on its left and right, so that neighbours do not touch."""
    stroke = "currentColor" if colour == "none" else colour
    return (
        f'<rect x="{x + 1.5:.1f}" y="{y:.1f}" width="{w - 3:.1f}" height="{h:.1f}" '
        f'rx="{min(2, h / 4):g}" fill="{colour}" fill-opacity="{opacity:g}" stroke="{stroke}" '
        'stroke-width="1.4"/>'
    )


def text(x: float, y: float, words: str, size=12, anchor="middle", bold=False) -> str:
    """A line of text whose vertical middle is y."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y + 0.36 * size:.1f}" font-size="{size}" fill="currentColor" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def arrow(x1: float, y1: float, w1: float, x2: float, y2: float, w2: float) -> str:
    """An arrow on a pale passage from a box that ends at y1 to one that begins below it, at y2;
    x are the boxes' middles and w their widths."""
    return (
        f'<path d="M{x1 - w1 / 2:.1f} {y1:.1f}H{x1 + w1 / 2:.1f}L{x2 + w2 / 2:.1f} {y2:.1f}'
        f'H{x2 - w2 / 2:.1f}Z" fill="currentColor" fill-opacity="0.07"/>'
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2 - 2:.1f}m-3.5 -3.5l3.5 3.5 3.5 -3.5" '
        'stroke="currentColor" stroke-width="1.2" stroke-opacity="0.6"/>'
    )


def fire(channels: int = 96, squeeze: int = 16, expand: int = 64, bn: bool = False) -> Figure:
    """The fire module (Iandola et al. 2016, section 3.2) with its parameters, biases included.

    channels: of the input; squeeze: 1x1 filters; expand: 1x1 filters, and as many 3x3 ones;
    bn: batch normalisation between each convolution and its ReLU.
    """
    scale = (WIDTH - 16) / max(channels, 2 * expand)
    high, thin, gap, parts, counts = 50, 16, 30, [], []

    def convolution(x, y, name, kernel, inputs, filters, colour, aside=False):
        """A box and its bands, words inside or at its right; returns where they end."""
        wide = filters * scale
        at, anchor = (x + wide / 2 + 9, "start") if aside else (x, "middle")
        area = f"{kernel}·{kernel}·" if kernel > 1 else ""
        counts.append(kernel * kernel * inputs * filters + filters)
        parts.append(box(x - wide / 2, y, wide, high, colour))
        parts.append(text(at, y + 10, f"{name} {kernel}×{kernel}", 12, anchor, bold=True))
        parts.append(text(at, y + 25, f"{filters} filters", 12, anchor))
        formula = f"{area}{inputs}·{filters} + {filters} = {counts[-1]:,}"
        parts.append(text(at, y + 39, formula, 11, anchor))
        y += high
        for words, band in [(f"BN: 4·{filters} = {4 * filters:,}", SKY)] * bn + [("ReLU", PURPLE)]:
            parts.append(box(x - wide / 2, y, wide, thin, band))
            parts.append(text(at, y + thin / 2, words, 11, anchor))
            y += thin
        return y

    def tensor(y, name, count):
        parts.append(box(MIDDLE - count * scale / 2, y, count * scale, high, "none"))
        parts.append(text(MIDDLE, y + 17, name, 12, bold=True))
        parts.append(text(MIDDLE, y + 33, f"{count} channels"))
        return y + high

    middle, half = squeeze * scale, expand * scale
    y = tensor(4, "input", channels)
    parts.append(arrow(MIDDLE, y, channels * scale, MIDDLE, y + gap, middle))
    y = convolution(MIDDLE, y + gap, "squeeze", 1, channels, squeeze, BLUE, aside=middle < 150)
    for side, kernel, colour in ((-1, 1, BLUE), (1, 3, ORANGE)):
        x = MIDDLE + side * max(half / 2, 86)  # apart enough for the words of two narrow boxes
        parts.append(arrow(MIDDLE, y, middle, x, y + gap, half))
        end = convolution(x, y + gap, "expand", kernel, squeeze, expand, colour)
        parts.append(arrow(x, end, half, MIDDLE + side * half / 2, end + gap - 8, half))
    y = end + gap - 8
    parts.append(box(MIDDLE - half, y, 2 * half, thin + 2, GREEN))
    parts.append(text(MIDDLE, y + 9, f"concatenate: {expand} + {expand}", 11))
    y = tensor(y + thin + 2, "output", 2 * expand)
    counts += [4 * (squeeze + 2 * expand)] * bn
    total = f"{sum(counts):,} parameters"
    parts.append(text(MIDDLE, y + 20, " + ".join(f"{count:,}" for count in counts)))
    parts.append(text(MIDDLE, y + 37, f"= {total}", bold=True))
    alt = (
        f"Fire module: {squeeze} 1×1 filters squeeze {channels} channels; {expand} 1×1 filters "
        f"beside {expand} 3×3 filters expand them, concatenated to {2 * expand} channels. "
        f"{'BN and ReLU follow' if bn else 'ReLU follows'} each convolution. {total}."
    )
    reason = f"the squeeze leaves the 3×3 filters only {squeeze} channels to read."
    return Figure(svg(WIDTH, y + 48, parts, 440), alt, f"A fire module has {total}: {reason}")


def stages(model) -> list[Stage]:
    """The stages of a built Keras model, for `network`: layers `fire2_…` together are one."""
    found = []
    for row in counting.stages(model):
        kind, note = _KINDS.get(row.kind, "fire"), ""
        layer = model.get_layer(row.name) if kind != "fire" else None
        if kind == "conv3":
            kind = f"conv{layer.kernel_size[0]}"
        if kind in ("conv1", "conv3", "conv5", "pool"):
            size = (layer.kernel_size if kind != "pool" else layer.pool_size)[0]
            note = f"{size}×{size}, stride {layer.strides[0]}"
        elif kind == "fire":
            note = f"squeeze {model.get_layer(f'{row.name}_squeeze').filters}"
        if kind:
            found.append(Stage(row.name, kind, (*row.shape[:-1], 1)[0], row.shape[-1], note))
    return found


def network(stages: list[Stage], caption: str = "") -> Figure:
    """A whole network from top to bottom; the caption states what it shows.

    Heights are proportional to the resolution, widths to the square root of the channels, and the
    picture says so: 3 and 512 channels would not fit on one page otherwise.
    """
    per_pixel = 80 / max(stage.size for stage in stages)
    per_root = 186 / sqrt(max(stage.channels for stage in stages))
    axis, column, parts, y, above = 152, 254, [], 4, None
    for name, kind, size, channels, note in stages:
        high, wide, fills = size * per_pixel, sqrt(channels) * per_root, FILLS[kind]
        row, up = max(high + 14, 36 if note else 24), 7 if note else 0
        top, centre = y + (row - high) / 2, y + row / 2
        if above:
            parts.append(arrow(axis, *above, axis, top, wide))
        for i, fill in enumerate(fills):
            left, share = axis - wide / 2 + i * wide / len(fills), wide / len(fills)
            parts.append(box(left, top, share, high, fill, 0.75))
        shape = f"{channels}" if kind in ("gap", "dense") else f"{size} × {size} × {channels}"
        parts.append(text(2, centre, name, 12, "start", bold=True))
        parts.append(text(column, centre - up, shape, 12, "start"))
        parts.append(text(column, centre + up, note, 10.5, "start") if note else "")
        above, y = (top + high, wide), y + row
    parts.append(text(2, y + 16, "height = resolution, width = √channels, to scale", 10.5, "start"))
    used = {fill for stage in stages for fill in FILLS[stage.kind]}
    names = {BLUE: "1×1", ORANGE: "3×3", VERMILION: "5×5", GREY: "pooling"}
    for i, colour in enumerate(colour for colour in names if colour in used):
        parts.append(box(2 + 62 * i, y + 30, 16, 10, colour, 0.75))
        parts.append(text(22 + 62 * i, y + 35, names[colour], 10.5, "start"))
    route = ", ".join(f"{s.name} {s.size}×{s.size}×{s.channels}" for s in stages)
    alt = f"Network from top to bottom, height × width × channels: {route}."
    return Figure(svg(WIDTH, y + 46, parts, 440), alt, caption)
