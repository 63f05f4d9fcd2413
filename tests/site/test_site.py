"""Every page of the built book in headless Chromium, with every other host refused."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]'
# What axe finds in the theme itself: the names of its search and colour-mode buttons, and the
# sidebar's title outside all landmarks.
THEME_RULES = {"label-content-name-mismatch", "region"}


def assert_rendered(page):
    """Mathematics and widgets of a page at rest are there."""
    formulas = page.locator(".math").count()
    assert page.locator("mjx-container").count() >= formulas
    assert page.locator('mjx-merror, [data-mml-node="merror"]').count() == 0
    left = page.evaluate(
        r"""() => [...document.querySelectorAll("main p, main li, main td, figcaption")]
            .map(e => e.innerText).filter(t => /\\\(|\\\[|\\begin\{/.test(t))"""
    )
    assert not left, f"raw TeX: {left}"
    for i in range(page.locator(VIEW).count()):
        area = page.locator(".widget-subarea").nth(i)
        area.wait_for(state="visible")
        # The widget puts something into the area that the page held for it.
        page.wait_for_function("e => e.innerText.trim() !== ''", arg=area.element_handle())


def test_page_stands_alone(visit, server, name):
    visited = visit(f"{server}/{name}")
    assert_rendered(visited.page)
    visited.assert_clean()


def test_chapter_stands_alone_as_a_file(visit, book, chapter):
    visited = visit((book / "book" / f"{chapter}.html").as_uri(), fresh=True)
    assert_rendered(visited.page)
    visited.assert_clean()


def test_the_watch_sees_what_it_must(visit, server):
    """The other tests pass on a clean page: this one shows that a bad page would not."""
    visited = visit(f"{server}/search.html", fresh=True)
    visited.page.evaluate(
        """async () => {
            console.error("said aloud");
            await fetch("not-there.js");
            await fetch("https://example.org/").catch(() => {});
        }"""
    )
    assert visited.elsewhere == ["https://example.org/"]
    assert any("404" in url for url in visited.failed)
    assert "said aloud" in visited.errors


def test_explorer_answers(visit, server, chapter):
    visited = visit(f"{server}/book/{chapter}.html", fresh=True)
    widgets = visited.page.locator(".course-widget")
    for i in range(visited.page.locator(VIEW).count()):
        widgets.nth(i).wait_for()
    # The quiz, which has a `.which`, answers once a curve: tests/unit/test_explorer.py takes it.
    for explorer in visited.page.locator(".course-explorer:not(:has(.which))").all():
        summary = explorer.locator("[aria-live]").first
        controls = explorer.locator("select, input").all()
        controls = controls or explorer.locator("button").all()[:1]
        assert controls, "an explorer without a control"
        for control in controls:
            explorer.and_(visited.page.locator(':not([aria-busy="true"])')).wait_for()
            if not control.is_visible():  # it belongs to a choice that is not made
                continue
            before = summary.inner_text()
            assert before.strip(), "the explorer says nothing"
            use(control)
            visited.page.wait_for_function(
                "([e, before]) => e.innerText !== before",
                arg=[summary.element_handle(), before],
            )
    visited.assert_clean()


def test_a_widget_has_words_without_a_script(book, chapter):
    text = (book / "book" / f"{chapter}.html").read_text(encoding="utf-8")
    views = text.count('<script type="application/vnd.jupyter.widget-view+json">')
    assert text.count("<noscript><p>") == views


def use(control):
    """Move a control as a reader would; leave a radio button that is chosen already."""
    kind = control.get_attribute("type") or control.evaluate("e => e.localName")
    if kind == "select":
        other = control.evaluate("e => [...e.options].findIndex(o => !o.selected)")
        control.select_option(index=other)
    elif kind == "range":
        at_least = control.evaluate("e => e.valueAsNumber === Number(e.min)")
        control.press("ArrowRight" if at_least else "ArrowLeft")
    elif kind == "radio" and control.is_checked():
        name = control.get_attribute("name")
        control.page.locator(f'input[name="{name}"]:not(:checked)').first.click()
    else:
        control.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(visit, server, name, scheme):
    page = visit(f"{server}/{name}", scheme, width=390).page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    wide, room = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    )
    assert wide <= room, f"the page is {wide} px wide on a screen of {room}"


@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_wider_than_its_column_says_so(visit, server, name, width):
    """Code wraps; a table that scrolls has a shadow at the edge behind which it goes on."""
    page = visit(f"{server}/{name}", width=width).page
    cut = page.evaluate(
        """() => [...document.querySelectorAll("article pre, article .output, article figure," +
                " article .pst-scrollable-table-container")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1)
            .filter((e) => !getComputedStyle(e).backgroundAttachment.includes("local"))
            .map((e) => `${e.tagName} ${e.scrollWidth} in ${e.clientWidth}: ${e.innerText}`)"""
    )
    assert not cut


def test_the_keyboard_finds_its_way(visit, server, chapter):
    """Every stop has a ring, "On this page" comes before the page, and each toggle has its name."""
    page = visit(f"{server}/book/{chapter}.html", fresh=True).page
    stops = []
    for _ in range(400):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => { const e = document.activeElement, style = getComputedStyle(e); return {
                at: ["#pst-page-toc-nav", ".bd-header-article", "article", "footer", "body"]
                    .find((place) => e.closest(place)) ?? "",
                name: e.outerHTML.slice(0, 80), copies: e.matches(".copybtn"),
                ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 }; }"""
        )
        if stop["at"] == "footer" or (stops and stop["name"] == stops[0]["name"]):
            break
        stops.append(stop)
    places = [stop["at"] for stop in stops]
    assert places.index("#pst-page-toc-nav") < places.index(".bd-header-article")
    assert places.index(".bd-header-article") < places.index("article")
    assert not [stop["name"] for stop in stops if stop["copies"]]
    assert not [stop["name"] for stop in stops if not stop["ring"]]
    toggles = page.locator("details.hide > summary")
    names = toggles.all_inner_texts()
    assert len(set(names)) == len(names), "toggles of one name: begin each cell with a comment"
    assert not page.locator("summary[aria-label]").count(), "a name that is not what one sees"
    assert not page.locator(".cell_output .copybtn").count()


def test_a_block_of_the_cover_says_its_question(visit, server):
    page = visit(f"{server}/index.html", fresh=True).page
    shown = page.locator(".cover p > span:visible")
    blocks = page.locator(".cover g").all()
    assert len(blocks) > 4
    for block in blocks:
        for reach in (block.focus, block.hover):
            reach()
            assert shown.all_inner_texts() == [block.get_attribute("aria-label")]
        page.mouse.move(0, 0)


def test_pictures_have_a_text(visit, server, name):
    """A picture's alt text says what it shows; its file name does not."""
    page = visit(f"{server}/{name}").page
    texts = page.evaluate(
        """() => [...document.querySelectorAll(
                "article img, figure svg, article svg[role=img]:not(mjx-container *)"
            )].map(e => e.getAttribute("alt") ?? e.getAttribute("aria-label") ?? "")"""
    )
    bad = [t for t in texts if len(t.split()) < 3 or re.search(r"\.(png|svg|jpe?g)\b|/\w+/", t)]
    assert not bad, f"pictures without a text: {bad}"


def test_nothing_of_the_machine_shows(book, name):
    """No traceback, no log line, no path of the machine that built the page."""
    text = (book / name).read_text(encoding="utf-8")
    leaks = ("Traceback (most recent", "site-packages", "WARNING", "/home/", "/root/", str(ROOT))
    found = [leak for leak in leaks if leak in text]
    assert not found, f"{name} holds {found}"
    blocks = re.findall(r'class="output (?:stderr|traceback)[^"]*"', text)
    assert not blocks, f"{name} shows {blocks}"


def test_chapter_opens_in_colab(book, chapter):
    with open(ROOT / "pyproject.toml", "rb") as file:
        repository = tomllib.load(file)["project"]["urls"]["Repository"]
    place = repository.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{place}/blob/main/book/{chapter}.ipynb"
    assert f'href="{colab}"' in (book / "book" / f"{chapter}.html").read_text(encoding="utf-8")


def test_chapter_says_how_it_was_built(book, chapter):
    text = (book / "book" / f"{chapter}.html").read_text(encoding="utf-8")
    assert re.search(r'class="built-with">Run on \d{4}-.*profile <code>quick</code>.*commit', text)
    assert len(text.encode()) < 1_500_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, server, name, scheme):
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page = visit(f"{server}/{name}", scheme).page
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    # Only colours depend on the scheme, and only what is found is wanted: half the time.
    rules = {"runOnly": ["color-contrast", "link-in-text-block"]} if scheme == "dark" else {}
    found = [
        f"{v['id']}: {v['nodes'][0]['target']}"
        for v in page.evaluate("axe.run", rules | {"resultTypes": ["violations"]})["violations"]
        if v["impact"] != "minor" and v["id"] not in THEME_RULES
    ]
    assert not found, found
