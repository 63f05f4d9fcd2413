"""The course's logo and cover, drawn by code in the visual language of `course_lib.figures`."""

import os
import re
from itertools import combinations, product
from math import cos
from pathlib import Path

from course_lib.figures.figure import Figure
from course_lib.figures.palette import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from course_lib.figures.svg import box, svg


def logo() -> Figure:
    """The course's mark, a fire module that looks like a torch; colours for white and black."""
    parts = [box(3, 4, 58, 9, GREEN, 1), box(20, 49, 24, 12, BLUE, 1)]
    for colour, flip in ((BLUE, ""), (ORANGE, ' transform="matrix(-1 0 0 1 64 0)"')):
        parts.append(f'<path d="M4 17.5H30.5V45H22L4 32Z" fill="{colour}"{flip}/>')
    return Figure(svg(64, 64, parts, 64), "Micro-Architectures")


def cover() -> Figure:
    """A wide picture without words, from an image to a class; grey lines suit any page."""
    axis, wires, marks = 150, [], []

    def wire(x1, y1, x2, y2, lift=None):
        """From left to right, level at both ends; with `lift` an arc that is drawn up to there."""
        bend = f"{(x1 + x2) / 2} {y1} {(x1 + x2) / 2} {y2}"
        wires.append(f"M{x1} {y1}C{bend if lift is None else f'{x1} {lift} {x2} {lift}'} {x2} {y2}")

    def upright(x, high, colour, y=axis, wide=22):
        marks.append(box(x - wide / 2, y - high / 2, wide, high, colour, 1))

    # The image, twelve pixels by twelve: a sun over hills.
    for row, column in product(range(12), repeat=2):
        sun = (row - 3.5) ** 2 + (column - 7.5) ** 2 < 7
        colour = GREEN if row > 8.2 + 1.6 * cos(column / 2.1) else ORANGE if sun else SKY
        shade = 0.95 - 0.075 * ((5 * row + 3 * column + row * column) % 4)
        marks.append(box(7 + 13 * column, 72 + 13 * row, 14, 11, colour, shade))
    for x1, x2 in ((164, 262), (372, 410), (552, 1100)):
        wire(x1, axis, x2, axis)
    upright(205, 156, ORANGE)
    upright(262, 40, BLUE)
    for y, colour in ((96, BLUE), (204, ORANGE)):  # a fire module
        wire(262, axis, 322, y)
        wire(322, y, 372, axis)
        upright(322, 100, colour, y)
    upright(372, 208, GREEN, wide=12)
    inception = ((81, None, BLUE), (127, BLUE, ORANGE), (173, BLUE, VERMILION), (219, GREY, BLUE))
    for y, first, second in inception:
        wire(410, axis, 458, y)
        wire(458, y, 506, y)
        wire(506, y, 552, axis)
        if first:
            upright(458, 30, first, y)
        upright(506, 36, second, y)
    upright(552, 180, GREEN, wide=12)
    for x in (592, 722):  # residual blocks
        wire(x, axis, x + 102, axis, lift=20)
        upright(x + 30, 92, ORANGE)
        upright(x + 64, 92, ORANGE)
        marks.append(f'<circle cx="{x + 102}" cy="{axis}" r="13" fill="{GREEN}"/>')
        marks.append(f'<path d="M{x + 95} {axis}h14m-7 -7v14" stroke="#fff" stroke-width="3"/>')
    dense = range(866, 1043, 44)
    for x1, x2 in combinations(dense, 2):
        if x2 - x1 > 44:
            wire(x1, 122, x2, 122, lift=110 - 0.62 * (x2 - x1))
    for x in dense:
        upright(x, 60, BLUE if x == 866 else ORANGE)
    upright(1086, 40, GREY, wide=14)
    for y in range(33, 268, 26):
        wire(1100, axis, 1168, y)
        colour, opacity = (VERMILION, 1) if y == 111 else (GREY, 0.4)
        marks.append(f'<circle cx="1176" cy="{y}" r="10" fill="{colour}" opacity="{opacity}"/>')
    lines = f'<path d="{"".join(wires)}" stroke="{GREY}" stroke-width="2.5" opacity="0.75"/>'
    route = "a fire module, an Inception module, two residual blocks and a dense block"
    alt = f"A small picture passes through {route}, and ends as one of ten classes."
    return Figure(svg(1200, 300, [lines, *marks], 1200), alt)


def save(figure: Figure, path: str | Path) -> None:
    """Write the SVG as a file of its own: with a size in pixels, and grey for `currentColor`,
    which would be black there. Nothing half-written is left at `path`."""
    width, height = re.search(r'viewBox="0 0 (\S+) (\S+)"', figure.svg).groups()
    size = f'width="{width}" height="{height}" color="{GREY}"'
    whole = re.sub(r'width="100%" style="[^"]*"', size, figure.svg, count=1)
    temporary = Path(f"{path}.{os.getpid()}.part")
    temporary.write_text(whole, encoding="utf-8")
    os.replace(temporary, path)
