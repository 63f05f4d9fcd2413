"""The course's own figures outside of chapters, logo and cover first, drawn by code."""

import html
import os
import re
from dataclasses import dataclass
from itertools import combinations, product
from math import cos
from pathlib import Path

from course_lib import records
from course_lib.figures import forest
from course_lib.figures.figure import Figure
from course_lib.figures.palette import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from course_lib.figures.svg import box, svg, text


def logo() -> Figure:
    """The course's mark, a fire module that looks like a torch; colours for white and black."""
    parts = [box(3, 4, 58, 9, GREEN, 1), box(20, 49, 24, 12, BLUE, 1)]
    for colour, flip in ((BLUE, ""), (ORANGE, ' transform="matrix(-1 0 0 1 64 0)"')):
        parts.append(f'<path d="M4 17.5H30.5V45H22L4 32Z" fill="{colour}"{flip}/>')
    return Figure(svg(64, 64, parts, 64), "Micro-Architectures")


def bfloat16() -> Figure:
    """Three experiments in both precisions: the control of book/records.md."""
    ids = ("squeezenet/bn", "resnet-v1/20", "minigooglenet/lr-1e-2")
    pairs = [records.in_bfloat16(id, "quick") for id in ids]
    missing = ", ".join(c.names[0] for c in pairs if not c.first)
    caption = (
        "Filled: seeds in bfloat16; hollow: in float32, around their mean. Bar: 95 % interval of "
        "the difference. No difference means that all of it lies within 3 points of zero."
    )
    return forest(pairs, caption=caption + (f" Not recorded yet: {missing}." if missing else ""))


QUESTIONS = {
    "picture": "The data. What is there to learn from thirty-two by thirty-two pixels?",
    "first": "The first layers. How much of a picture gets through them, before any training?",
    "fire": "The fire module. How far can a layer be squeezed?",
    "inception": "Inception. What can a filter of one size not see?",
    "residual": "Residual blocks. Why can a deeper network fit its own training data worse?",
    "dense": "The dense block. Is it better to add what came before, or to keep it?",
    "answer": "The answer. Which network would you choose, and what does it cost you?",
}


@dataclass(frozen=True)
class Cover(Figure):
    """A figure with parts: the one under the pointer, the finger or the focus says its question.
    It needs no script; the questions lie in one place, and the stylesheet shows one."""

    def _repr_html_(self) -> str:
        label = html.escape(self.alt, quote=True)
        drawing = self.svg.replace("<svg", f'<svg role="group" aria-label="{label}"', 1)
        rules, lines = [], ['<span class="lead">Point at a block, or tap it: its question.</span>']
        for name, words in QUESTIONS.items():
            block, question, rest = f".{name}", f".about-{name}", words.split(". ", 1)
            lines.append(f'<span class="about-{name}"><b>{rest[0]}.</b> {rest[1]}</span>')
            for state in (f":has({block}:hover)", f":not(:has(g:hover)):has({block}:focus)"):
                rules.append(f".cover{state} {question}{{visibility:visible}}")
        style = f"<style>{''.join(rules)}</style>"
        said = f'<p aria-hidden="true">{"".join(lines)}</p>'
        return f'<figure class="course-figure cover">{style}{drawing}{said}</figure>'


def cover() -> Cover:
    """A wide picture without words, from an image to a class; grey lines suit any page."""
    axis, wires = 150, []
    marks: dict[str, list[str]] = {name: [] for name in QUESTIONS}

    def wire(x1, y1, x2, y2, lift=None):
        """From left to right, level at both ends; with `lift` an arc that is drawn up to there."""
        bend = f"{(x1 + x2) / 2} {y1} {(x1 + x2) / 2} {y2}"
        wires.append(f"M{x1} {y1}C{bend if lift is None else f'{x1} {lift} {x2} {lift}'} {x2} {y2}")

    def upright(part, x, high, colour, y=axis, wide=22):
        marks[part].append(box(x - wide / 2, y - high / 2, wide, high, colour, 1))

    def circle(part, x, y, radius, colour, opacity=1.0):
        marks[part].append(
            f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}" opacity="{opacity}"/>'
        )

    # The image, twelve pixels by twelve: a sun over hills.
    for row, column in product(range(12), repeat=2):
        sun = (row - 3.5) ** 2 + (column - 7.5) ** 2 < 7
        colour = GREEN if row > 8.2 + 1.6 * cos(column / 2.1) else ORANGE if sun else SKY
        shade = 0.95 - 0.075 * ((5 * row + 3 * column + row * column) % 4)
        marks["picture"].append(box(7 + 13 * column, 72 + 13 * row, 14, 11, colour, shade))
    for x1, x2 in ((164, 262), (372, 410), (552, 1100)):
        wire(x1, axis, x2, axis)
    upright("first", 205, 156, ORANGE)
    upright("fire", 262, 40, BLUE)
    for y, colour in ((96, BLUE), (204, ORANGE)):
        wire(262, axis, 322, y)
        wire(322, y, 372, axis)
        upright("fire", 322, 100, colour, y)
    upright("fire", 372, 208, GREEN, wide=12)
    inception = ((81, None, BLUE), (127, BLUE, ORANGE), (173, BLUE, VERMILION), (219, GREY, BLUE))
    for y, first, second in inception:
        wire(410, axis, 458, y)
        wire(458, y, 506, y)
        wire(506, y, 552, axis)
        if first:
            upright("inception", 458, 30, first, y)
        upright("inception", 506, 36, second, y)
    upright("inception", 552, 180, GREEN, wide=12)
    for x in (592, 722):
        wire(x, axis, x + 102, axis, lift=20)
        upright("residual", x + 30, 92, ORANGE)
        upright("residual", x + 64, 92, ORANGE)
        circle("residual", x + 102, axis, 13, GREEN)
        plus = f"M{x + 95} {axis}h14m-7 -7v14"
        marks["residual"].append(f'<path d="{plus}" stroke="#fff" stroke-width="3"/>')
    dense = range(866, 1043, 44)
    for x1, x2 in combinations(dense, 2):
        if x2 - x1 > 44:
            wire(x1, 122, x2, 122, lift=110 - 0.62 * (x2 - x1))
    for x in dense:
        upright("dense", x, 60, BLUE if x == 866 else ORANGE)
    upright("answer", 1086, 40, GREY, wide=14)
    for y in range(33, 268, 26):
        wire(1100, axis, 1168, y)
        circle("answer", 1176, y, 10, *((VERMILION, 1.0) if y == 111 else (GREY, 0.4)))

    parts = [f'<path d="{"".join(wires)}" stroke="{GREY}" stroke-width="2.5" opacity="0.75"/>']
    borders = (0, 180, 236, 392, 572, 846, 1062, 1200)  # where one part ends for the pointer
    for (name, shapes), left, right in zip(marks.items(), borders, borders[1:], strict=False):
        room = f'<path d="M{left} 10H{right}V290H{left}Z" fill="#fff" fill-opacity="0"/>'
        says = html.escape(QUESTIONS[name], quote=True)
        start = f'<g class="{name}" tabindex="0" role="img" aria-label="{says}">'
        parts.append(f"{start}{room}{''.join(shapes)}</g>")
    route = "a fire module, an Inception module, two residual blocks and a dense block"
    alt = f"A small picture passes through {route}, and ends as one of ten classes."
    return Cover(svg(1200, 300, parts, 1200), alt)


def flat_line() -> Figure:
    """The loss of plain SqueezeNet by epoch, from its record: seed 0 of the profile `tenth`."""
    run = next(r for r in records.load("squeezenet/plain", "tenth") if r["seed"] == 0)
    losses = run["history"]["loss"]
    left, right, top, bottom = 26, 354, 14, 126

    def place(epoch: int, loss: float) -> str:
        x = left + (right - left) * (epoch - 1) / (len(losses) - 1)
        return f"{x:.1f} {bottom - (bottom - top) * loss / 2.5:.2f}"

    points = [place(k, loss) for k, loss in enumerate(losses, start=1)]
    end = float(points[-1].split()[1])
    axes = f'<path d="M{left} {top}V{bottom}H{right}" stroke="currentColor" stroke-opacity="0.5"/>'
    line = f'<path class="drawn" pathLength="1" d="M{"L".join(points)}" stroke="{VERMILION}" '
    parts = [axes, f'{line}stroke-width="3" stroke-linejoin="round"/>']
    parts += [
        text(left - 8, bottom - (bottom - top) * k / 2.5, str(k), 12, "end") for k in (0, 1, 2)
    ]
    parts += [text(right + 8, end, f"{losses[-1]:.3f}", 17, "start", bold=True)]
    parts += [text(left + 10, end + 20, "loss", 13, "start")]
    parts += [text(left, bottom + 16, "epoch 1", 12, "start")]
    parts += [text(right, bottom + 16, str(len(losses)), 12)]
    ends = f"{losses[0]:.3f} after the first epoch, {losses[-1]:.3f} after the last"
    return Figure(
        svg(420, 150, parts, 640),
        f"A flat line: the training loss over {len(losses)} epochs, {ends}.",
        f"SqueezeNet, recorded: {len(losses)} epochs of {run['data']['images']:,} photographs.",
    )


def save(figure: Figure, path: str | Path) -> None:
    """Write the SVG as a file of its own: with a size in pixels, and grey for `currentColor`,
    which would be black there. Nothing half-written is left at `path`."""
    width, height = re.search(r'viewBox="0 0 (\S+) (\S+)"', figure.svg).groups()
    size = f'width="{width}" height="{height}" color="{GREY}"'
    whole = re.sub(r'width="100%" style="[^"]*"', size, figure.svg, count=1)
    temporary = Path(f"{path}.{os.getpid()}.part")
    temporary.write_text(whole, encoding="utf-8")
    os.replace(temporary, path)
