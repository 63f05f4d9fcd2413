"""The colours: legible on white and on black, told apart by everyone, one for each condition."""

from itertools import combinations

import numpy as np
import pytest

from course_lib import experiments, settings
from course_lib.figures import palette

COLOURS = [palette.GREY, *palette.LINES]
PAGES = ["#ffffff", "#000000", "#14181c"]  # the last is the site's dark page

# How those see who lack one kind of cones (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "usual": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                   [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


def linear(colour):
    c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG's ratio of two colours."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / (0.95047, 1, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("page", PAGES)
def test_every_line_stands_out_from_every_page(page):
    assert min(contrast(colour, page) for colour in COLOURS) >= 3


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_look_alike_to_anyone(sight):
    seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 18


def test_a_condition_has_one_colour_in_the_whole_book():
    assert palette.colour("squeezenet/bn") == palette.colour("bn") == palette.colour("He + BN")
    assert palette.colour("squeezenet/plain") == palette.colour("Glorot")
    assert palette.colour("no such thing") == palette.colour("no such thing") in palette.LINES
    for names in (["bn", "plain"], ["he", "bn", "my own block"]):
        assert palette.styles(names)["bn"].colour == palette.colour("bn")


# Conditions that stand on one figure.
TOGETHER = [
    ["plain", "he-l2", "bn"],
    ["Glorot", "He", "He + BN"],
    ["plain", "plain-linear-head", "he", "he-linear-head"],
    ["bn", "no-pool-1", "no-pool-1-4", "stride-1", "dropout"],
    ["resnet-v1/20", "resnet-v1/56", "resnet-v1/plain-20", "resnet-v1/plain-56"],
    ["minigooglenet/lr-1e-2", "minigooglenet/lr-5e-3", "minigooglenet/lr-1e-3"],
]


@pytest.mark.parametrize("names", TOGETHER, ids=lambda names: names[0])
def test_conditions_that_meet_have_colours_of_their_own(names):
    assert len({style.colour for style in palette.styles(names).values()}) == len(names)


def test_every_experiment_has_a_colour_and_two_of_one_colour_differ_in_their_mark():
    assert {palette.colour(id) for id in experiments.ids()} <= set(palette.LINES)
    names = [f"net {k}" for k in range(len(palette.LINES) + 3)]
    styles = palette.styles(names)
    assert list(styles) == names and len(set(styles.values())) == len(names)
    assert {style.colour for style in styles.values()} == set(palette.LINES)


def test_conditions_are_experiments_or_what_stands_for_them():
    known = {*experiments.ids(), *(id.rpartition("/")[2] for id in experiments.ids())}
    words = palette.CONDITIONS.keys() - known
    pages = [page.read_text(encoding="utf-8") for page in (settings.ROOT / "book").glob("*.ipynb")]
    text = "".join(pages).lower()
    assert [word for word in words if f'"{word}' not in text] == [], "no page names them"
