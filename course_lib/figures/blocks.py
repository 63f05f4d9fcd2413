"""One block of a network, layer by layer, drawn from the model in which it stands.

Every convolution is a box with its number of filters and of parameters; batch normalisation and
activation are bands on it. So a reader's own block is drawn too, whatever its branches.
"""

from course_lib.figures.anatomy import PASSIVE, Layer, Split, grouped, steps, words
from course_lib.figures.figure import Figure
from course_lib.figures.layout import BETWEEN, column_of, lines_of, units, width_of
from course_lib.figures.palette import GREEN, KINDS
from course_lib.figures.svg import WIDTH, arc, arrow, box, line, passage, plus, svg, text, wide
from course_lib.settings import nearest

HIGH, BAND, GAP = 46, 16, 24  # of the smallest map's box, of a band, between boxes


def block(model, stage: str, caption: str = "") -> Figure:
    """The block called `stage` of a built Keras model: `block(model, "fire2")`.

    A CourseError names the nearest stages where the model has no such one.
    """
    inside = grouped(model)
    if stage not in inside:
        raise nearest(stage, inside, "stage")
    names = list(inside)
    before = inside[names[max(names.index(stage) - 1, 0)]][-1].shape
    return _figure(stage, inside[stage], before, caption)


def fire(channels: int = 96, squeeze: int = 16, expand: int = 64, bn: bool = False) -> Figure:
    """The fire module (Iandola et al. 2016, section 3.2) with its parameters, biases included.

    channels: of the input; squeeze: 1x1 filters; expand: 1x1 filters, and as many 3x3 ones;
    bn: batch normalisation between each convolution and its ReLU.
    """
    from functools import partial

    from course_lib.backend import keras
    from course_lib.models import squeezenet

    inputs = keras.Input((8, 8, channels), name="input")
    conv = partial(squeezenet.conv_relu, initializer="zeros", bn=bn)
    outputs = squeezenet.fire(inputs, squeeze, expand, conv=conv, name="fire")
    model = keras.Model(inputs, outputs)
    reason = f"the squeeze leaves the 3×3 filters only {squeeze} channels to read."
    caption = f"A fire module has {model.count_params():,} parameters: {reason}"
    return block(model, "fire", caption)


def _figure(name: str, inside: list[Layer], before: tuple, caption: str) -> Figure:
    tree = steps(inside)
    drawing = _Drawing(tree, inside, before)
    counts = [layer.parameters for layer in inside if layer.parameters]
    total = f"{sum(counts):,} parameters"
    shapes = ["×".join(map(str, shape)) for shape in (before, inside[-1].shape)]
    alt = f"{name} reads {shapes[0]}: {in_words(tree)}. It passes on {shapes[1]}. {total}."
    y = drawing.y
    sums = " + ".join(f"{count:,}" for count in counts)
    if len(counts) > 1 and wide(sums, 11) < drawing.width:
        drawing.parts.append(text(drawing.width / 2, y + 16, sums, 11))
        y += 17
    equals = "= " if len(counts) > 1 else ""
    drawing.parts.append(text(drawing.width / 2, y + 16, equals + total, 12, bold=True))
    limit = round(440 * drawing.width / WIDTH)
    return Figure(svg(drawing.width, y + 28, drawing.parts, limit), alt, caption)


def in_words(tree: list) -> str:
    """A block in words, as the alternative text has it."""
    told = []
    for step in tree:
        if isinstance(step, Layer):
            told.append(words(step))
        elif not step.branches:
            told.append(f"several layers, ended by {step.join.says}")
        else:
            branches = [in_words(branch) or "the input itself" for branch in step.branches]
            how = {"add": "added", "concatenate": "concatenated"}
            told.append(f"({') beside ('.join(branches)}) {how.get(step.join.says, 'joined')}")
    return ", ".join(told)


class _Drawing:
    """Parts of the picture, from top to bottom; y is where the next one begins."""

    def __init__(self, tree: list, inside: list[Layer], before: tuple):
        reads = before[-1]
        self.width = max(WIDTH, width_of(tree, reads, 0.0) + 8)
        low, high = 0.0, 4.0
        for _ in range(30):  # the largest scale at which all columns have room
            middle = (low + high) / 2
            fits = width_of(tree, reads, middle) <= self.width - 8
            low, high = (middle, high) if fits else (low, middle)
        self.scale = low
        sizes = [shape[0] for shape in (before, *(layer.shape for layer in inside))
                 if len(shape) == 3]  # fmt: skip
        self.per_pixel = HIGH / min(sizes, default=1)
        self.parts: list[str] = []
        self.right = self.width  # where words beside a box must end
        middle = self.width / 2
        y, w = self._tensor(middle, 4, "input", before)
        y, w = self._draw(tree, middle, y, reads, w)
        self._passage(middle, y, w, middle, y + GAP, w)
        self.y, _ = self._tensor(middle, y + GAP, "output", inside[-1].shape)

    def _high(self, shape: tuple) -> float:
        return self.per_pixel * shape[0] if len(shape) == 3 else self.per_pixel

    def _tensor(self, x, y, name, shape):
        w, h = shape[-1] * self.scale, max(self._high(shape) * 0.8, 34)
        lines = [(name, 12, True), (" × ".join(map(str, shape)), 12, False)]
        self.parts.append(box(x - w / 2, y, w, h, "none", 0))
        self._words(x, y + h / 2, w, lines)
        return y + h, w

    def _words(self, x, middle, w, lines, aside=True):
        """Lines of text in a box, or at its right where they would not fit."""
        anchor = "middle"
        longest = max(wide(said, size) for said, size, _ in lines)
        if aside and longest > w and x + w / 2 + 8 + longest < self.right:
            x, anchor = x + w / 2 + 8, "start"
        for k, (said, size, bold) in enumerate(lines):
            self.parts.append(
                text(x, middle + 14 * (k - (len(lines) - 1) / 2), said, size, anchor, bold)
            )

    def _passage(self, x1, y1, w1, x2, y2, w2):
        self.parts += [passage(x1, y1, w1, x2, y2, w2), arrow(x1, y1, x2, y2)]

    def _draw(self, tree, x, y, reads, w, column=0.0, source=None):
        """A block from y on, below a box of width `w`; returns its end and the width there.

        source: the middle of that box, where it is not x.
        column: the room for words where boxes stand beside each other; else they stand at the
            right of what is too narrow for them.
        """
        for unit in units(tree):
            for k, step in enumerate(unit):
                if isinstance(step, Split):
                    y, w = self._split(step, x, y, reads, w)
                    reads = step.join.shape[-1]
                    continue
                if k == 0:
                    wide_ = step.shape[-1] * self.scale
                    self._passage(x if source is None else source, y, w, x, y + GAP, wide_)
                    y, source = y + GAP, None
                y, w = self._box(step, x, y, reads, column)
                reads = step.shape[-1]
        return y, w

    def _box(self, layer: Layer, x, y, reads, column):
        w, h = layer.shape[-1] * self.scale, self._high(layer.shape)
        if layer.kind in PASSIVE:
            said, h = f"{layer.says}: 4·{layer.shape[-1]} = {layer.parameters:,}", BAND
            said = said if layer.kind == "bn" and wide(said, 11) <= w else layer.says
            lines = [(said, 11, False)]
        else:
            beside = self.right - x - w / 2 - 8
            lines = lines_of(layer, reads, max(w, 0 if column else beside))
        # A narrow box in a column has its words across it: no outline then runs through them.
        across = column and w < max(wide(said, size) for said, size, _ in lines)
        look = {"opacity": 0.45, "line": 0} if across else {}
        self.parts.append(box(x - w / 2, y, w, h, KINDS.get(layer.kind, "none"), **look))
        self._words(x, y + h / 2, w, lines, not column)
        return y + h, w

    def _split(self, split: Split, x, y, reads, w):
        if not split.branches:
            self._passage(x, y, w, x, y + GAP, w)
            return self._box(split.join._replace(kind="plain"), x, y + GAP, reads, 0)
        columns = [column_of(branch, reads, split, self.scale) for branch in split.branches]
        add, top = split.join.says == "add", y
        arcs = [add and not branch for branch in split.branches]
        if any(arcs):  # the arc has its room on both sides, so that the rest stands in the middle
            columns = [
                0 if is_arc else column for column, is_arc in zip(columns, arcs, strict=True)
            ]
        shown = [column for column in columns if column]
        out = max(*shown, w) / 2 + 14 if any(arcs) else 0
        left = x - (sum(shown) + BETWEEN * (len(shown) - 1)) / 2
        ends = []
        for branch, column in zip(split.branches, columns, strict=True):
            if not column:
                continue
            middle = left + column / 2
            left += column + BETWEEN
            if branch:
                outer, self.right = self.right, x + out - 4 if out else self.right
                room = column if len(shown) > 1 else 0
                # All branches leave from the middle of what they read.
                ends.append((middle, *self._draw(branch, middle, y, reads, w, room, x)))
                self.right = outer
            else:
                self.parts.append(passage(x, y, w, middle, y + GAP, w))
                self.parts.append(line(x, y, y + GAP, middle))
                ends.append((middle, y + GAP, w))
        bottom = max(end for _, end, _ in ends)
        for middle, end, share in ends:  # a short branch goes straight down first
            if end < bottom:
                self.parts.append(passage(middle, end, share, middle, bottom, share))
                self.parts.append(line(middle, end, bottom))
        ends = [(middle, bottom, share) for middle, _, share in ends]
        y = bottom + GAP + 4
        width = split.join.shape[-1] * self.scale
        if add:
            self._add(ends, x, top, y, out)
            return y + 14, width
        at = x - width / 2
        for (middle, end, share), branch in zip(ends, split.branches, strict=True):
            self._passage(middle, end, share, at + share / 2, y, share)
            if not branch:
                self.parts.append(text(middle + 5, (top + y) / 2, "kept", 11, "start"))
            at += share
        return self._bar(split, x, y, width, [round(share / self.scale) for _, _, share in ends])

    def _add(self, ends, x, top, y, out):
        for middle, end, share in ends:
            self.parts += [passage(middle, end, share, x, y, share), arrow(middle, end, x, y)]
        self.parts.append(plus(x, y + 7, 7))
        if out:
            out = min(out, self.width / 2 - 4)
            self.parts.append(arc(x, top + 6, y + 7, out))

    def _bar(self, split, x, y, out, shares):
        said = split.join.says
        sums = " + ".join(map(str, shares)) if said == "concatenate" else said
        long = f"{said}: {sums}"
        self.parts.append(box(x - out / 2, y, out, BAND + 2, GREEN))
        words_ = long if wide(long, 11) <= out and sums != said else sums
        self._words(x, y + BAND / 2 + 1, out, [(words_, 11, False)])
        return y + BAND + 2, out
