"""Diagrams of networks, drawn from the models: one visual language for the whole course.

1x1 convolutions are blue, 3x3 orange, 5x5 and larger vermilion, pooling grey, batch normalisation
and activations thin bands, joins green (a circle with + for an addition, a bar for a
concatenation), bypasses arcs. A box is as high as its resolution and as wide as its channels.
"""

from typing import NamedTuple

from course_lib import experiments
from course_lib.figures.anatomy import Stage, stages, summed_up
from course_lib.figures.blocks import block, fire
from course_lib.figures.figure import Figure
from course_lib.figures.palette import GREEN, KINDS
from course_lib.figures.svg import WIDTH, arc, arrow, box, passage, plus, svg, text
from course_lib.models import graph
from course_lib.settings import CourseError

__all__ = ["Stage", "block", "difference", "fire", "network", "stages"]

AXIS, COLUMN = 172, 240  # the boxes' middle, and where the numbers begin
HIGH, WIDE = 80, 106  # of the largest map, in units
GAP = 16  # between boxes, for an arrow


class Mark(NamedTuple):
    """How a stage differs from the parent's: "same", "added", "removed" or "changed", and words."""

    how: str = "same"
    words: str = ""


SIGNS = {"same": "", "added": "+ ", "removed": "− ", "changed": "≠ "}
HOW = {"same": "made as before"}  # where the other words do not make a sentence
FRAMES = {"added": "", "removed": "5 4", "changed": "1.5 2.5"}  # dashes


def network(model, caption: str = "") -> Figure:
    """A whole network from top to bottom; the caption states what it shows.

    model: a functional Keras model, or a list of its stages. Three or more stages in a row that are
    alike are drawn once, with their number.
    """
    found = summed_up(model if isinstance(model, list) else stages(model))
    route = "; ".join(map(_in_words, found))
    alt = f"Network from top to bottom, height × width × channels: {route}."
    return Figure(_drawn(found, {}), alt, caption)


def difference(child, parent=None) -> Figure:
    """The network of an experiment as the difference from its parent (or from another).

    child, parent: experiments or their ids. What is added has an outline and a +, what is removed a
    dashed one and a −, what is changed a dotted one and a ≠; where only what a stage reads has
    changed, the numbers say so. A CourseError where there is no parent and none is named.
    """
    child = experiments.get(getattr(child, "id", child))
    parent = getattr(parent, "id", parent) or child.parent
    if parent is None:
        raise CourseError(f"{child.id} has no parent: name what to compare it with")
    parent = experiments.get(parent)
    marks, found = _compared(child.build(), parent.build())

    def alike(one: Stage, other: Stage) -> bool:
        return one.like(other) and marks[one.name] == marks[other.name]

    drawn = summed_up(found, alike)
    told = [f"{_in_words(s)} is {HOW.get(m.how, m.how)}{f' ({m.words})' if m.words else ''}"
            for s in drawn if (m := marks[s.name]) != Mark()]  # fmt: skip
    change = "; ".join(told) or "every layer is the same"
    caption = " · ".join(line.strip() for line in child.diff(parent).splitlines())
    alt = f"Network of {child.id} beside that of {parent.id}: {change}."
    return Figure(_drawn(drawn, marks), alt, caption.replace(" · ", ": ", 1))


def _in_words(stage: Stage) -> str:
    words = f"{stage.title} {'×'.join(map(str, stage.shape))}"
    words += f", {stage.note}" if stage.note else ""
    words += f", {stage.bypass} bypass" if stage.bypass else ""
    words += f", × {stage.times}" if stage.times > 1 else ""
    return words + (f", {stage.grows} channels more each" if stage.grows else "")


def _drawn(found: list[Stage], marks: dict[str, Mark]) -> str:
    scale = HIGH / max(s.size for s in found), WIDE / max(s.channels for s in found)
    parts, y, above = [], 6.0, None
    for stage in found:
        drawn, y, above = _row(stage, marks.get(stage.name, Mark()), y, above, scale)
        parts += drawn
    drawn, y = _legend(found, y + 14, bool(marks))
    return svg(WIDTH, y, [*parts, *drawn], 440)


def _row(stage: Stage, mark: Mark, y: float, above, scale):
    """The parts of one stage, where the next one begins, and (bottom, width) to draw from there."""
    shape = " × ".join(map(str, stage.shape))
    lines = [(shape, 12)] + [(line, 10.5) for line in (stage.note, *mark.words.split(", ")) if line]
    if stage.grows:
        lines.insert(1, (f"{stage.grows} more each", 10.5))
    title = SIGNS[mark.how] + stage.title
    left = [(title, 12 if len(title) < 14 else 11)]
    left += [(f"× {stage.times}", 12)] if stage.times > 1 else []
    high, wide = stage.size * scale[0], stage.channels * scale[1]
    below = 14 if stage.join == "add" else 5 if stage.join else 0
    row = max(high + below + GAP + 4 * (stage.times > 1), 14 * len(lines) + 8, 14 * len(left) + 8)
    top, centre = y + (row - high - below) / 2, y + row / 2
    parts, end = [], (top + high + below, wide)
    if mark.how in FRAMES:
        parts.append(box(0, y, WIDTH, row, "none", 0, 1.6, FRAMES[mark.how]))
    if above:
        parts.append(passage(AXIS, *above, AXIS, top, wide))
        parts.append(arrow(AXIS, above[0], AXIS, top))
    x = AXIS - wide / 2
    if stage.times > 1:
        parts += [box(x + 2.5 * k, top - 2.5 * k, wide, high, "none", 0, 0.8) for k in (2, 1)]
    parts += _filled(stage, x, top, wide, high, "4 3" if mark.how == "removed" else "")
    if stage.join == "add":
        middle = top + high + 8
        parts.append(plus(AXIS, middle, 5.5))
        if stage.bypass:
            dash = "4 2.5" if stage.bypass == "projection" else ""
            parts.append(arc(AXIS, top - 5, middle, wide / 2 + 8, dash))
    elif stage.join:
        parts.append(box(x, top + high + 1, wide, 4, GREEN, 0.9))
    for anchor, at, words in (("start", 4, left), ("start", COLUMN, lines)):
        for k, (line, size) in enumerate(words):
            where = centre + 14 * (k - (len(words) - 1) / 2)
            parts.append(text(at, where, line, size, anchor, bold=at == 4))
    return parts, y + row, end


def _filled(stage: Stage, x: float, top: float, wide: float, high: float, dash: str) -> list[str]:
    """The box of a stage, cut into its shares."""
    whole = sum(count for _, count in stage.shares) or 1
    parts = []
    for kind, count in stage.shares or (("plain", 1),):
        share = wide * count / whole
        colour = KINDS.get(kind, "none")
        opacity = 0.1 if dash else 0.75
        parts.append(box(x, top, share, high, colour, opacity, dash=dash))
        x += share
    return parts


def _legend(found: list[Stage], y: float, compared: bool) -> tuple[list[str], float]:
    """What the colours and lines mean that the picture uses, and where it ends."""
    parts = [text(4, y, "height = resolution, width = channels, to scale", 10.5, "start")]
    kinds = {kind for stage in found for kind, _ in stage.shares}
    names = {"1x1": "1×1", "3x3": "3×3", "5x5": "5×5 and larger", "pool": "pooling"}
    names |= {"kept": "kept as it was"}
    signs = [(box(0, 0, 16, 10, KINDS.get(k, "none"), 0.75), n) for k, n in names.items()
             if k in kinds]  # fmt: skip
    joins = {stage.join for stage in found}
    bypasses = {stage.bypass for stage in found}
    if "concatenate" in joins:
        signs.append((box(0, 3, 16, 4, GREEN, 0.9), "concatenation"))
    if "add" in joins:
        signs.append((plus(8, 5, 5.5), "addition"))
    for kind, dash in (("identity", ""), ("projection", "4 2.5")):
        if kind in bypasses:
            signs.append((arc(-4, 0, 10, 18, dash), f"{kind} bypass"))
    if compared:
        signs += [(box(0, 0, 16, 10, "none", 0, 1.6, d), how) for how, d in FRAMES.items()]
    x, y = 4.0, y + 12
    for sign, words in signs:
        long = 22 + 6.4 * len(words)
        if x + long > WIDTH:
            x, y = 4.0, y + 17
        parts.append(f'<g transform="translate({x:g} {y:g})">{sign}</g>')
        parts.append(text(x + 21, y + 5, words, 10.5, "start"))
        x += long + 8
    return parts, y + 20


def _compared(child, parent) -> tuple[dict[str, Mark], list[Stage]]:
    """A mark for each stage of either model, and the stages of both in one order."""
    ours, theirs = ({s.name: s for s in stages(model)} for model in (child, parent))
    marks = {name: _mark(stage, theirs.get(name)) for name, stage in ours.items()}
    settings = [_settings(model) for model in (child, parent)]
    for name, stage in ours.items():
        changed = {word for layer, _ in stage.layers for word in _unlike(layer, *settings)}
        if changed and name in theirs:
            words = ", ".join(filter(None, (marks[name].words, *sorted(changed))))
            marks[name] = Mark("changed", words)
    order, at = list(ours), 0
    for name in theirs:
        if name in ours:
            at = order.index(name) + 1
        else:
            order.insert(at, name)
            marks[name] = Mark("removed")
            at += 1
    return marks, [ours.get(name) or theirs[name] for name in order]


def _mark(stage: Stage, before: Stage | None) -> Mark:
    if before is None:
        return Mark("added")
    ours, theirs = ([said for _, said in s.layers] for s in (stage, before))
    shape = "×".join(map(str, before.shape))
    was = f"was {shape}" if stage.shape != before.shape else ""
    if sorted(ours) == sorted(theirs):
        return Mark("same", was)  # only what it reads is another
    words = []
    for said in dict.fromkeys([*ours, *theirs]):
        more = ours.count(said) - theirs.count(said)
        # BN, ReLU, dropout; a convolution is told by the note, an addition by its bypass.
        if more and len(said) < 9 and said != "add":
            words.append(f"{'+' if more > 0 else '−'} {f'{abs(more)} ' * (abs(more) > 1)}{said}")
    if stage.note != before.note:
        words.append(f"was {before.note}")
    if stage.bypass != before.bypass:
        words.append(f"+ {stage.bypass}" if stage.bypass else f"− {before.bypass}")
    return Mark("changed", ", ".join(words) or was)


_TOLD = {"filters", "units", "kernel_size", "pool_size", "strides"}  # in the stage's own words
_NAMES = {"kernel_initializer": "initialiser", "kernel_regularizer": "weight decay"}


def _settings(model) -> dict[str, dict]:
    """What decides the result of each layer and is not seen in its shape, by the layer's name."""
    return {
        layer.name: {
            key: str(layer.get_config().get(key))
            for key in graph.ARGUMENTS.get(type(layer).__name__, ())
            if key not in _TOLD
        }
        for layer in model.layers
    }


def _unlike(layer: str, ours: dict, theirs: dict) -> list[str]:
    both = ours.get(layer, {}), theirs.get(layer, {})
    keys = [key for key in both[0] if key in both[1] and both[0][key] != both[1][key]]
    return [_NAMES.get(key, key.replace("_", " ")) for key in keys]
