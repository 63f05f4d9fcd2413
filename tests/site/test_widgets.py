"""The explorers in a page without a kernel, opened from disk, with the scripts of the book."""

import json
from pathlib import Path

import numpy as np
import pytest
from ipywidgets.embed import embed_data

from course_lib.explorers.predict import Prediction
from course_lib.explorers.schedules import ScheduleExplorer
from course_lib.explorers.signal import SignalExplorer

ROOT = Path(__file__).resolve().parents[2]
THEMES = {"light": ("#fff", "#222832"), "dark": ("#14181c", "#ced6dd")}
WIDTHS = (1280, 390)


def html(widgets) -> str:
    """A page with these widgets alone, as Jupyter Book would put them into a chapter."""
    data = embed_data(views=widgets, drop_defaults=False)
    views = "".join(
        f'<div><script type="application/vnd.jupyter.widget-view+json">{json.dumps(view)}</script>'
        "</div>"
        for view in data["view_specs"]
    )
    state = json.dumps(data["manager_state"]).replace("</", "<\\/")
    vendor = (ROOT / "book" / "_static").as_uri()
    colours = "".join(
        f"html[data-theme={name}] {{ background: {back}; --pst-color-text-base: {text};"
        f" color-scheme: {name} }}"
        for name, (back, text) in THEMES.items()
    )
    return f"""<!doctype html><html lang="en" data-content_root="{(ROOT / "book").as_uri()}/">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Widgets</title><link rel="stylesheet" href="{vendor}/course.css">
<style>{colours} body {{ font: 17px sans-serif; margin: 1rem }}</style>
<script>document.documentElement.dataset.theme =
matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"</script>
<script src="{vendor}/vendor/widgets/require.js"></script>
<script src="{vendor}/local-widgets.js"></script>
<script src="{vendor}/vendor/widgets/embed-amd.js" data-jupyter-widgets-cdn="/__no_cdn__/"></script>
<script type="application/vnd.jupyter.widget-state+json">{state}</script>
<main class="bd-main"><article class="bd-article"><h1>Widgets</h1>{views}</article></main>"""


@pytest.fixture(scope="module")
def widgets_page(tmp_path_factory):
    """The address, on disk, of a page with one of each widget."""
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    guess = Prediction(
        "How far do `plain` & `bn` get in three epochs?",
        numbers=["plain", "bn"],
        unit="%",
        answer={"plain": 10, "bn": 43.5},
        because="`plain` says the same to every picture.",
    )
    later = Prediction("Which is larger?", choices=["Glorot's", "He's"])
    widgets = [
        SignalExplorer(pictures, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7), depth=3),
        ScheduleExplorer(),
        guess,
        guess,
        later,
    ]
    path = tmp_path_factory.mktemp("page") / "widgets.html"
    path.write_text(html(widgets), encoding="utf-8")
    return path.as_uri()


def ready(page):
    page.wait_for_function("document.querySelectorAll('.course-widget').length === 5")
    page.wait_for_function("document.querySelectorAll('[aria-busy=false] figure svg').length === 2")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", THEMES)
def test_widgets_fit_and_axe_finds_nothing(visit, widgets_page, scheme, width):
    visited = visit(widgets_page, scheme, width, fresh=True)
    page = visited.page
    ready(page)
    for name in ("plain", "bn"):
        page.get_by_label(name).first.fill("1234.5")
    page.keyboard.press("Enter")  # from the form to a table; the other form stays
    assert page.locator("form").count() == 1
    page.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    clipped = page.evaluate(
        """() => [...document.querySelectorAll("figure text")].filter((text) => {
            const box = text.getBoundingClientRect();
            const room = text.closest("svg").getBoundingClientRect();
            return box.left < room.left || box.right > room.right || box.bottom > room.bottom;
        }).map((text) => text.textContent)"""
    )
    assert clipped == []
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    # Without preload, for which axe would read the style sheet as data: not from a disk.
    found = page.evaluate("axe.run({ preload: false })")["violations"]
    assert [f"{v['id']}: {v['nodes'][0]['target']}" for v in found] == []
    visited.assert_clean()


@pytest.mark.parametrize("scheme", THEMES)
def test_every_line_stands_out_from_the_page(visit, widgets_page, scheme):
    """At least 3 : 1, as WCAG 1.4.11 asks of what one must see."""

    def luminance(colour):
        parts = [int(p) / 255 for p in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    page = visit(widgets_page, scheme).page
    ready(page)
    colour, *lines = page.evaluate(
        """() => [getComputedStyle(document.documentElement).backgroundColor,
            ...[...document.querySelectorAll("figure .line, .legend svg path")].map((e) => {
                const style = getComputedStyle(e);
                if (style.opacity !== "1" || parseFloat(style.strokeWidth) < 1) throw e;
                return e.matches(".line") ? style.stroke : style.fill;
            })]"""
    )
    assert len(lines) == 6
    for line in lines:
        low, high = sorted((luminance(colour), luminance(line)))
        assert (high + 0.05) / (low + 0.05) >= 3, line


def test_a_prediction_is_kept_by_the_page(visit, widgets_page):
    visited = visit(widgets_page, fresh=True)
    page = visited.page
    ready(page)
    first, again, later = (page.locator(".course-prediction").nth(i) for i in range(3))
    assert "43.5" not in page.inner_text("main"), "the result shows before the prediction"
    first.get_by_label("plain").fill("20")
    page.keyboard.press("Enter")
    assert first.locator("form").count() == 1, "half a prediction was taken"
    first.get_by_label("bn").fill("40.5")
    page.keyboard.press("Enter")
    told = [["", "you said", "result", "off by"], ["plain", "20 %", "10 %", "10 %"]]
    told.append(["bn", "40.5 %", "43.5 %", "3 %"])
    for view in (first, again):  # both views of one prediction
        rows = view.locator("tr").all()
        assert [row.locator("th, td").all_inner_texts() for row in rows] == told
        assert "says the same to every picture." in view.inner_text()
    assert page.evaluate("document.activeElement.className").endswith("course-prediction")
    later.get_by_label("He's").press("Space")
    later.get_by_role("button", name="Commit").press("Enter")
    assert "You said: He's." in later.inner_text() and "not in yet" in later.inner_text()
    page.reload()
    ready(page)
    assert "40.5 %" in first.inner_text() and "You said: He's." in later.inner_text()
    first.get_by_role("button", name="Predict anew").press("Enter")
    assert again.get_by_label("bn").input_value() == ""
    again.get_by_role("button", name="Show without predicting").press("Enter")
    assert "Shown without a prediction." in first.inner_text()
    assert "43.5 %" in first.inner_text() and "you said" not in first.inner_text()
    visited.assert_clean()


def test_a_prediction_works_where_nothing_can_be_stored(visit, widgets_page):
    visited = visit(widgets_page, fresh=True)
    page = visited.page
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })"
    )
    page.reload()
    ready(page)
    choice = page.locator(".course-prediction").nth(2)
    choice.get_by_label("Glorot's").check()
    choice.get_by_role("button", name="Commit").click()
    assert "You said: Glorot's." in choice.inner_text()
    visited.assert_clean()
