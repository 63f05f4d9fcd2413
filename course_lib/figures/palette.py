"""The colours of the course, for diagrams, plots, widgets and the site: nowhere else is one named.

The hues are Okabe and Ito's. Their shades are moved so that each has a contrast of 3:1 at least on
white, on black and on the site's dark page, and so that no two are alike for readers who see no
red or no green. Where colour alone would tell two things apart, a word, a mark or an outline does
so too.
"""

from typing import NamedTuple
from zlib import crc32

BLUE, ORANGE, VERMILION, GREEN = "#1260DC", "#CA7F00", "#B34220", "#08A064"
GREY, SKY, PURPLE = "#6A6A6A", "#2494E8", "#B873B5"

# Kinds of layers, and what the site's stylesheet calls them.
KINDS = {
    "1x1": BLUE,
    "3x3": ORANGE,
    "5x5": VERMILION,
    "join": GREEN,
    "pool": GREY,
    "bn": SKY,
    "activation": PURPLE,
}

# Lines of a plot. Grey is left to what is undecided or not asked about.
LINES = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
MARKS = ("o", "s", "^", "D", "v", "P")  # matplotlib's; one goes with each colour of LINES


class Style(NamedTuple):
    """How a condition is drawn: colour as #rrggbb, mark as matplotlib names it."""

    colour: str
    mark: str


# A condition has one colour in the whole book. Two share one only where no figure shows both.
# An experiment's id, or what stands behind its family, or a word that stands for a condition.
CONDITIONS = {
    "plain": VERMILION,
    "he": ORANGE,
    "he-l2": PURPLE,
    "bn": BLUE,
    "l2": GREEN,
    "glorot-bn": SKY,
    "he-bn": GREEN,
    "glorot-l2-bn": PURPLE,
    "plain-linear-head": PURPLE,
    "plain-lr-1e-1": GREEN,
    "plain-adam": SKY,
    "he-linear-head": GREEN,
    "glorot": VERMILION,  # rules of initialisation, as `plain`, `he` and `bn` have them
    "he + bn": BLUE,
    "by-255": ORANGE,  # preprocessings, without BN and with it
    "by-255-pixel-mean": PURPLE,
    "pixel-mean": GREEN,
    "pixel-mean-lr-1e-4": SKY,
    "by-255-pixel-mean-lr-16e-2": SKY,
    "bn-by-255": ORANGE,
    "bn-by-255-pixel-mean": PURPLE,
    "bn-pixel-mean": GREEN,
    "lr-5e-2": VERMILION,  # schedules of the small network
    "drops": ORANGE,
    "linear": BLUE,
    "power-4": GREEN,
    "250 images": VERMILION,
    "wrong": VERMILION,
    "right": BLUE,
    "before": GREEN,
    "never stopped": BLUE,
    "weights alone": VERMILION,
    "last digit": ORANGE,
    "another seed": BLUE,
    "no-pool-1": GREEN,
    "no-pool-1-4": PURPLE,
    "stride-1": ORANGE,
    "dropout": SKY,
    "no-conv10": VERMILION,
    "simple-bypass": ORANGE,
    "complex-bypass": VERMILION,
    "miniature-bn": BLUE,
    "miniature-no-dropout": GREEN,
    "miniature-no-pool-8": VERMILION,
    "miniature-no-pool-4": PURPLE,
    "miniature-stride-1": ORANGE,
    "minigooglenet/lr-1e-2": BLUE,
    "minigooglenet/lr-5e-3": GREEN,
    "minigooglenet/lr-1e-3": ORANGE,
    "minigooglenet/l2": PURPLE,
    "eighth": BLUE,
    "eighth-3x3-narrow": ORANGE,
    "eighth-3x3": VERMILION,
    "eighth-reduced": GREEN,
    "eighth-lr-5e-3": GREEN,
    "eighth-lr-1e-3": ORANGE,
    "eighth-l2": PURPLE,
    "eighth-elu": SKY,
    "resnet-v1/20": BLUE,
    "resnet-v1/56": SKY,
    "resnet-v1/110": GREEN,
    "resnet-v1/plain-20": ORANGE,
    "resnet-v1/plain-56": VERMILION,
    "resnet-v1/narrow-20": BLUE,
    "resnet-v1/narrow-56": SKY,
    "resnet-v1/narrow-plain-20": ORANGE,
    "resnet-v1/narrow-plain-56": VERMILION,
    "thin-20": BLUE,
    "thin-56": SKY,
    "thin-plain-20": ORANGE,
    "thin-plain-56": VERMILION,
    "thin-20-no-mean": PURPLE,
    "resnet-v2/56": PURPLE,
    "resnet-v2/110": ORANGE,
    "densenet/growth-32": GREEN,
    "ratio-0.125": BLUE,
    "plain-equal": ORANGE,
    "separable-equal": GREEN,
    "ratio-0.5-equal": SKY,
    "ratio-1-equal": PURPLE,
    "ratio-0.5": BLUE,
    "share-1": PURPLE,
    "share-1-wide": SKY,
    "share-99": ORANGE,
    "share-99-narrow": VERMILION,
    "densenet/half": GREEN,
    "densenet/half-add": PURPLE,
    "densenet/half-plain": VERMILION,
    "densenet/half-activated": SKY,
    "densenet/equal": ORANGE,
    "resnet-v1/half": ORANGE,
    "concatenate": GREEN,
    "add": PURPLE,
    "none": VERMILION,
    "shallow-sgd": ORANGE,
    "shallow-adam": PURPLE,
    "shallow-adam-70": GREEN,
    "deep-adam": BLUE,
    "deep-adam-l2-5e-4": SKY,
    "thin-shallow": PURPLE,
    "thin-shallow-28": GREEN,
    "thin-deep": BLUE,
    "thin-deep-l2-5e-4": SKY,
    "thin-relu-bn": ORANGE,
    "thin-elu": VERMILION,
    "thin-never": VERMILION,
    "thin-early": ORANGE,
    "thin-once": GREEN,
}


def colour(name: str) -> str:
    """The colour of a condition: an experiment's id or what stands behind its family; capitals do
    not matter. A name that CONDITIONS lacks draws one of LINES, always the same."""
    name = name.lower()
    known = CONDITIONS.get(name) or CONDITIONS.get(name.rpartition("/")[2])
    return known or LINES[crc32(name.encode()) % len(LINES)]


def styles(names) -> dict[str, Style]:
    """A style for each condition of one figure.

    Those that CONDITIONS names keep their colour. Another gives way while one is free; where none
    is, the two that share a colour differ in their mark.
    """
    names = list(dict.fromkeys(names))
    named = [n for n in names if {n.lower(), n.lower().rpartition("/")[2]} & CONDITIONS.keys()]
    found: dict[str, Style] = {}
    for name in [*named, *(n for n in names if n not in named)]:
        own, used = colour(name), [style.colour for style in found.values()]
        if name not in named and own in used:
            own = next((c for c in LINES if c not in used), own)
        place = LINES.index(own) + used.count(own)
        found[name] = Style(own, MARKS[place % len(MARKS)])
    return {name: found[name] for name in names}


def css() -> str:
    """The kinds of layers as the site's custom properties: `--course-1x1` and so on."""
    lines = "".join(f"--course-{kind}:{value};" for kind, value in KINDS.items())
    return f":root{{{lines}}}"
