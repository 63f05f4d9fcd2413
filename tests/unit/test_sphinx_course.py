"""What the book's own Sphinx extension makes of a page."""

import re

import pytest
import sphinx_course
from bs4 import BeautifulSoup

from course_lib.figures import palette

TABLE = """<p>1</p><table border="1" class="dataframe"><thead><tr style="text-align: right;">
<th></th><th>last, %</th><th>reported</th><th>parameters</th><th>rate</th></tr></thead><tbody>
<tr><th>bn</th><td>43.68\xa0±\xa01.32 (3\xa0seeds)</td><td>86 % and more</td><td>741,088</td>
<td>1e-05, 12</td></tr>
<tr><th>he</th><td>not recorded yet</td><td>90 %</td><td>729,144</td><td>−0.5</td></tr>
</tbody></table>"""


@pytest.mark.parametrize("start", ['<table border="1" class="dataframe">', '<table id="T_1f">'])
def test_columns_of_numbers_stand_at_the_right_and_words_at_the_left(start):
    context = {"body": TABLE.replace('<table border="1" class="dataframe">', start)}
    sphinx_course.align_numbers(None, "page", "page.html", context, None)
    soup = BeautifulSoup(context["body"], "html.parser")
    for row in soup.find_all("tr"):
        right = ["text-right" in cell.get("class", []) for cell in row.find_all(["th", "td"])]
        assert right == [False, True, False, True, True]
    assert soup.get_text() == BeautifulSoup(TABLE, "html.parser").get_text()


@pytest.mark.parametrize("table", [TABLE.replace("dataframe", "markdown"), "<p>no table</p>"])
def test_other_tables_stay_as_they_are(table):
    context = {"body": table}
    sphinx_course.align_numbers(None, "page", "page.html", context, None)
    assert context["body"] == table


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (
            "# The curves of the live runs.\nx = 1\n",
            "The curves of the live runs",
        ),
        ("import numpy\n\nplots.curves(\n    runs\n)", "plots.curves"),
        ("import numpy\n", "imports"),
    ],
)
def test_a_folded_cell_is_called_by_what_it_holds(code, name):
    assert sphinx_course.toggle_name(code) == f"Code: {name}"


def test_lines_of_code_know_their_indent_and_stay_what_they_were():
    code = '<span></span><span class="k">def</span> f<span class="p">(</span>x):\n    y\n\n'
    body = f'<div class="highlight"><pre>{code}</pre></div><pre>  as it is</pre>'
    context = {"body": body}
    sphinx_course.mend_code(None, "page", "page.html", context, None)
    soup = BeautifulSoup(context["body"], "html.parser")
    assert soup.get_text() == BeautifulSoup(body, "html.parser").get_text()
    assert [line["style"][-1] for line in soup.select("pre > .line")] == ["0", "4", "0"]


def test_only_a_mark_that_begins_its_paragraph_hangs():
    context = {
        "body": '<p><small class="derived">d</small> a <small class="measured">m</small></p>'
    }
    sphinx_course.hang_marks(None, "page", "page.html", context, None)
    assert re.findall('class=.([^"]*)', context["body"]) == ["derived hanging", "measured"]


def test_the_stylesheet_gets_the_palette_and_uses_only_what_it_gets():
    context = {"metatags": "<meta>"}
    sphinx_course.add_palette(None, "page", "page.html", context, None)
    assert context["metatags"].startswith("<meta><style>:root{--course-1x1:#")
    given = set(re.findall(r"(--course-[\w-]+):", context["metatags"]))
    assert len(given) == len(palette.KINDS)
    css = (sphinx_course.settings.ROOT / "book/_static/course.css").read_text(encoding="utf-8")
    own = set(re.findall(r"^\s*(--course-[\w-]+):", css, re.M))
    assert set(re.findall(r"var\((--course-[\w-]+)\)", css)) <= given | own
    assert not given & own, "a colour has one place"
