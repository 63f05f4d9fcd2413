import re
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from course_lib import plots

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
HISTORY = {"accuracy": [0.1, 0.4], "test_accuracy": [0.2, 0.3], "test_loss": [2.3, 1.2]}


def curves(**options):
    histories = {"squeezenet/bn": [HISTORY, HISTORY], "he & <l2>": HISTORY}
    options = {"label": "test accuracy, %", "alt": "Two rising lines.", **options}
    return plots.curves(histories, lines=[86], **options)


def layers(**options):
    series = {"He": [1.0, 0.9, 1.1], "Glorot": [[1.0, 1e-2, 1e-6], [1.0, 2e-2, 2e-6]]}
    names = ["conv1", "fire2", "fire3"]
    options = {"label": "signal", "alt": "One line falls.", **options}
    return plots.layers(series, names, lines=[1.0], **options)


def pictures(**options):
    options = {"alt": "Four pictures.", "note": "drawn by code", **options}
    return plots.pictures(IMAGES, ["cat", "dog", "ship", "deer"], columns=2, **options)


def both(**options):
    return curves(curve=("accuracy", "test_accuracy"), **options)


ALL = pytest.mark.parametrize("plot", [curves, both, layers, pictures], ids=lambda f: f.__name__)


def texts(figure) -> list[str]:
    root = ET.fromstring(figure.svg)
    return ["".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")]


def with_styles(element, styles=""):
    """Every <text> with its own style and those that it inherits."""
    styles += element.get("style", "")
    if element.tag.endswith("}text"):
        yield element, styles
    for child in element:
        yield from with_styles(child, styles)


@ALL
def test_svg_is_whole_fluid_and_described(plot):
    figure = plot(alt='A "quoted" alt & more', caption="What it shows.")
    root = ET.fromstring(figure.svg)
    assert root.tag.endswith("svg") and root.get("viewBox")
    assert root.get("width") is None and "max-width" in root.get("style")
    page = ET.fromstring(figure._repr_html_())
    assert page[0].get("aria-label") == 'A "quoted" alt & more'
    assert page.find("figcaption").text == "What it shows."


@ALL
def test_text_and_axes_take_the_pages_colour(plot):
    figure = plot()
    assert "currentColor" in figure.svg
    assert not re.search(r"#000000|#010203|\bblack\b", figure.svg)
    for text, styles in with_styles(ET.fromstring(figure.svg)):
        # Without a fill, text would be black on the dark page too.
        assert "fill: currentColor" in styles, "".join(text.itertext())
    assert not re.search(r"(fill|stroke): #(fff|ffffff)\b", figure.svg), "nor a white ground"


def test_no_id_repeats_on_a_page():
    """Two figures of each kind, and one that shows the same picture twice."""
    page = [plot() for plot in (curves, both, layers, pictures) for _ in range(2)]
    page.append(plots.pictures(IMAGES[[0, 0]], alt="Twice the same."))
    found = Counter(i for figure in page for i in re.findall(r'\bid="([^"]*)"', figure.svg))
    assert [i for i, times in found.items() if times > 1] == []
    for figure in page:
        own = set(re.findall(r'\bid="([^"]*)"', figure.svg))
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', figure.svg)
        assert {a or b for a, b in used} <= own, "every reference finds its target"


def test_names_stand_at_the_ends_of_their_lines():
    assert {"squeezenet/bn", "he & <l2>", "epoch", "test accuracy, %"} <= set(texts(curves()))
    assert {"He", "Glorot", "conv1", "fire3", "signal"} <= set(texts(layers()))
    assert {"cat", "dog", "ship", "deer", "drawn by code"} <= set(texts(pictures()))


def test_no_line_is_left_out_when_there_are_more_than_colours():
    names = [f"net {k}" for k in range(len(plots.COLOURS) + 2)]
    drawn = plots.curves(dict.fromkeys(names, HISTORY), label="accuracy", alt="Many lines.")
    assert set(names) <= set(texts(drawn))
    drawn = plots.layers(dict.fromkeys(names, [1, 2]), ["a", "b"], label="signal", alt="Many.")
    assert set(names) <= set(texts(drawn))


def test_what_is_not_recorded_is_said_and_takes_no_ones_colour():
    """A line keeps its colour whether or not the one before it is recorded."""
    drawn = [
        plots.curves({"a": first, "b": HISTORY}, label="accuracy", alt="x", caption="Why.")
        for first in ([], HISTORY)
    ]
    assert "not recorded yet: a" in drawn[0].caption.lower() and "a" not in texts(drawn[0])
    assert drawn[0].caption.startswith("Why.") and drawn[1].caption == "Why."
    assert all(plots.COLOURS[1].lower() in figure.svg.lower() for figure in drawn)
    assert plots.COLOURS[0].lower() not in drawn[0].svg.lower()


def test_training_curve_is_dashed_and_test_curve_solid():
    assert "stroke-dasharray" in both().svg
    lines = re.findall(r'style="fill: none; stroke: (#\w+)[^"]*"', curves().svg, re.I)
    assert len({line for line in lines if line.upper() in map(str.upper, plots.COLOURS)}) == 2


def test_labels_do_not_overlap_where_lines_end_together():
    same = plots.curves(dict.fromkeys("abcd", HISTORY), label="accuracy", alt="Four lines.")
    places = re.findall(r'y="([\d.]+)"[^>]*>[abcd]</text>', same.svg)
    heights = sorted(map(float, places))
    assert len(heights) == 4 and min(np.diff(heights)) >= 11, "the size of the type"
