"""What diagrams and plots return: inline SVG with alt text and a caption.

Inline, because `currentColor` then takes the page's text colour: the same figure is right on
white and on black, in the book, in JupyterLab and in Colab.
"""

import ast
import html
import importlib
import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A picture with its words. A notebook shows it when a cell ends with it.

    svg: one <svg> element. alt: what a reader who cannot see it must know. caption: plain text
    that states the conclusion.
    """

    svg: str
    alt: str
    caption: str = ""

    def _repr_html_(self) -> str:
        label = html.escape(self.alt, quote=True)
        svg = self.svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            '<figure class="course-figure" style="margin:1em 0;overflow-x:auto">'
            f"{svg}{caption}</figure>"
        )

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"


@dataclass(frozen=True)
class Source:
    """Python code as a page shows it: highlighted, in the page's own colours."""

    text: str

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"

    def __repr__(self) -> str:
        return self.text


def source(what) -> Source:
    """The code of a function as it stands in the library, so that text and code cannot part.

    what: the function, or its name below course_lib, "models.squeezenet.fire". Its docstring is
    left out: the page says the same in its own words.
    """
    if isinstance(what, str):
        module, _, name = what.rpartition(".")
        what = getattr(importlib.import_module(f"course_lib.{module}"), name)
    lines = inspect.getsource(what).rstrip().splitlines()
    first = ast.parse("\n".join(lines)).body[0].body[0]
    if inspect.getdoc(what):
        del lines[first.lineno - 1 : first.end_lineno]
    return Source("\n".join(lines))
