import re
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from course_lib import experiments, records
from course_lib.figures import by_step, palette, plots
from course_lib.figures.points import points

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


def seeds(**options):
    runs = [{"test_accuracy": values} for values in ([0.1, 0.1], [0.2, 0.1], [0.1, 0.3])]
    options = {"label": "test accuracy, %", **options}
    return plots.seeds({"plain": runs, "he": runs[2:], "bn": []}, 11, **options)


def by_size(**options):
    series = {"plain": [(3e3, [40, 42]), (2e4, [50])], "he": [(3e3, [41])]}
    series |= options.pop("more", {})
    options = {"across": "parameters", "label": "accuracy, %", "alt": "Two rise.", **options}
    return points(series, log=True, lines=[10], **options)


PLOTS = [curves, both, layers, pictures, seeds, by_size]
ALL = pytest.mark.parametrize("plot", PLOTS, ids=lambda f: f.__name__)


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
    page = [plot() for plot in PLOTS for _ in range(2)]
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
    names = [f"net {k}" for k in range(len(palette.LINES) + 2)]
    drawn = plots.curves(dict.fromkeys(names, HISTORY), label="accuracy", alt="Many lines.")
    assert set(names) <= set(texts(drawn))
    drawn = plots.layers(dict.fromkeys(names, [1, 2]), ["a", "b"], label="signal", alt="Many.")
    assert set(names) <= set(texts(drawn))


def test_what_is_not_recorded_is_said_and_a_condition_keeps_its_colour():
    drawn = [
        plots.curves({"plain": first, "bn": HISTORY}, label="accuracy", alt="x", caption="Why.")
        for first in ([], HISTORY)
    ]
    assert "not recorded yet: plain" in drawn[0].caption.lower()
    assert "plain" not in texts(drawn[0])
    assert drawn[0].caption.startswith("Why.") and drawn[1].caption == "Why."
    assert all(palette.BLUE.lower() in figure.svg.lower() for figure in drawn)
    assert palette.VERMILION.lower() not in drawn[0].svg.lower()


def test_of_sizes_that_are_not_all_recorded_the_rest_is_shown_and_that_is_said():
    drawn = by_size(more={"l2": [(3e3, [41]), (1e5, [])], "bn": []})
    assert {"plain", "l2", "3k", "10k"} <= set(texts(drawn)) and "bn" not in texts(drawn)
    assert drawn.caption == "Not recorded yet, or not all: l2, bn."


def test_where_nothing_is_recorded_no_empty_axes_are_drawn(folders):
    bare = plots.curves({"plain": []}, label="accuracy", alt="x")
    forest = plots.forest([("squeezenet/l2", "squeezenet/plain")], "quick")
    for figure in (bare, forest, points({"plain": []}, across="size", label="accuracy", alt="x")):
        assert texts(figure) == ["not recorded yet"]
        assert figure.caption.startswith("Not recorded yet: ") and "plain" in figure.alt


def test_layers_stand_on_a_plain_axis_where_asked():
    drawn = plots.layers({"bn": [0.2, 0.6]}, ["a", "b"], label="share", alt="x", log=False)
    assert "0.0" in texts(drawn)


def test_training_curve_is_dashed_and_test_curve_solid():
    assert "stroke-dasharray" in both().svg
    lines = re.findall(r'style="fill: none; stroke: (#\w+)[^"]*"', curves().svg, re.I)
    assert len({line for line in lines if line.upper() in map(str.upper, palette.LINES)}) == 2


@ALL
def test_type_is_legible_in_the_350_pixels_of_a_telephone(plot):
    svg = plot().svg
    wide = float(re.search(r"max-width:(\d+)px", svg)[1])
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    sizes += [float(size) for size in re.findall(r"font: ([\d.]+)px", svg)]
    # A unit of the drawing is a point; superscripts of powers are smaller, and are text of an axis.
    exponents = [7.7]
    assert sizes and min({*sizes} - {*exponents}) * 4 / 3 * min(350 / wide, 1) >= 9.5


def test_seeds_counts_those_that_ever_got_anywhere_and_those_that_ended_there():
    figure = seeds()
    assert "2 of 3 ever, 1 at the end" in texts(figure)
    assert "1 of 1 ever, 1 at the end" in texts(figure)
    assert figure.caption.startswith("plain: 2 of 3 seeds ever above 11 %, 1 at the end; he: 1 of")
    assert figure.caption.endswith("; bn: not recorded yet.") and "bn" not in texts(figure)
    assert figure.caption in figure.alt


def test_forest_shows_every_seed_its_interval_and_greys_what_is_undecided(folders, make_record):
    accuracies = {"plain": (0.10, 0.12, 0.11), "bn": (0.5, 0.52, 0.54), "he": (0.1, 0.2, 0.09)}
    for name, values in accuracies.items():
        for seed, last in enumerate(values):
            records.write(make_record(f"squeezenet/{name}", "quick", seed, last))
    pairs = [("bn", "plain"), ("he", "plain"), ("l2", "plain")]
    pairs = [tuple(f"squeezenet/{name}" for name in pair) for pair in pairs]
    figure = plots.forest([*pairs[:1], (experiments.get(pairs[1][0]), pairs[1][1]), pairs[2]])
    assert "bn against plain: +41.0, better" in texts(figure)
    assert "he against plain: +2.0, undecided" in texts(figure)
    assert figure.caption.startswith("1 of 2 differences are decided.")
    assert "Not recorded yet: squeezenet/l2 against squeezenet/plain." in figure.caption
    assert all(records.compare(*pair) in figure.alt for pair in pairs)
    marks = re.findall(r'<use [^>]*style="[^"]*?stroke: (#\w+)', figure.svg)
    for colour in (palette.BLUE, palette.GREY):  # 3 seeds on either side
        assert sum(mark.upper() == colour for mark in marks) == 6
    assert palette.ORANGE.lower() not in figure.svg.lower()


def test_labels_do_not_overlap_where_lines_end_together():
    same = plots.curves(dict.fromkeys("abcd", HISTORY), label="accuracy", alt="Four lines.")
    places = re.findall(r'y="([\d.]+)"[^>]*>[abcd]</text>', same.svg)
    heights = sorted(map(float, places))
    assert len(heights) == 4 and min(np.diff(heights)) >= 11, "the size of the type"


def test_a_line_by_step_ends_with_a_cross_where_its_value_falls_to_zero():
    at, colour = [0, 10, 20, 30], palette.colour("plain").lower()
    series = {"plain": (at, [1e-3, 1e-2, 0, 0]), "bn": (at, [1e-3, 1e-2, 0.1, 1])}
    dies = by_step.steps(series, label="difference", alt="One dies.", log=True).svg
    lives = by_step.steps({k: series["bn"] for k in series}, label="d", alt="x", log=True).svg
    strokes = [
        len(re.findall(f"stroke: {colour}; stroke-width: 2\\b", svg)) for svg in (dies, lives)
    ]
    assert strokes[0] > strokes[1] == 0, "the cross alone has that stroke"
    ET.fromstring(dies)


def test_a_panel_of_layers_leaves_zero_blank_and_shares_its_scale():
    values = np.array([[1.0, 0.1, 0.0], [1.0, 0.2, 1e-3]])
    panels = {"plain": ([0, 10], values), "bn": ([0, 10], values * 2)}
    figure = by_step.heat(panels, ["a", "b", "c"], label="difference", alt="Two panels.")
    ET.fromstring(figure.svg)
    for words in ("plain", "bn", ">a<", ">c<", "difference"):
        assert words in figure.svg
