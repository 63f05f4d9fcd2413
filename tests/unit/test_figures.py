import xml.etree.ElementTree as ET

import pytest

from course_lib import settings
from course_lib.figures.figure import Figure, source

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><svg x="0"/></svg>'


@pytest.mark.parametrize(
    "text", ["a plain line", "a < b & \"c\" > 'd'", r"$\sigma$, \1 and \g<0>", "30 % → 40 %"]
)
def test_alt_and_caption_arrive_escaped_and_whole(text):
    page = ET.fromstring(Figure(SVG, alt=text, caption=text)._repr_html_())
    svg = page.find("{http://www.w3.org/2000/svg}svg")
    assert (svg.get("role"), svg.get("aria-label")) == ("img", text)
    assert page.find("figcaption").text == text
    assert [e.get("role") for e in svg] == [None], "an inner <svg> is no picture of its own"


def test_figure_without_a_caption_has_no_empty_one():
    figure = Figure(SVG, alt="two boxes")
    assert "figcaption" not in figure._repr_html_()
    assert repr(figure) == "Figure: two boxes"


def test_source_is_the_code_of_the_library_itself():
    code = source("settings.whole_number")
    text = (settings.ROOT / "course_lib" / "settings.py").read_text()
    assert code.text.startswith("def whole_number(") and '"""' not in code.text
    assert all(line in text for line in code.text.splitlines())
    assert code.text == source(settings.whole_number).text
    assert code._repr_markdown_() == f"```python\n{code.text}\n```" and repr(code) == code.text
