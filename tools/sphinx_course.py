"""The book's own Sphinx extension.

- `{course-figure} module.function`, a directive: the inline SVG that the function returns, drawn
  anew at every build.
- `{course-api} module`: what a module of the library offers, see sphinx_api.
- The terms of the glossary and of the library as anchors that a link may name: glossary.md#term-BN.
- A line on every chapter that says when it was run, on what and where.
- What a widget says without a script, for browsers that run none.
- sphinx-thebe's script is dropped: it names another host and declares a constant twice.
- The palette as custom properties, and columns of numbers at the right.
- A folded cell's toggle says what it holds; a line of code that is too long wraps under itself.
- The marks of sentences that begin a paragraph hang in the margin.
- Small mends: roles in the list of sources, the cover's <title>.
"""

import html
import importlib
import json
import re
from pathlib import Path

import sphinx_api
from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from course_lib import settings
from course_lib.figures import palette
from course_lib.figures.figure import Figure


class CourseFigure(SphinxDirective):
    """`course-figure` with one argument, module.function, which is called without any."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, function = self.arguments[0].rpartition(".")
        figure: Figure = getattr(importlib.import_module(module), function)()
        return [nodes.raw("", figure._repr_html_(), format="html")]


class WithoutScript(SphinxPostTransform):
    """Beside every widget, in <noscript>, the HTML that stands beside it in the cell's output."""

    default_priority = 3  # MyST-NB's, with 4, takes the widget and drops the rest
    view = "application/vnd.jupyter.widget-view+json"

    def run(self, **kwargs) -> None:
        for bundle in self.document.findall(nodes.container):
            kinds = {part.get("mime_type"): part for part in bundle.findall(nodes.container)}
            if bundle.get("nb_element") == "mime_bundle" and {self.view, "text/html"} <= set(kinds):
                text = f"<noscript>{kinds['text/html'].astext()}</noscript>"
                kinds[self.view] += nodes.raw("", text, format="html")


class FoldedCells(SphinxPostTransform):
    """The toggle of a folded cell says what the cell holds, closed and open alike."""

    default_priority = 198  # just before MyST-NB's, which makes the toggles
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and cell.get("hide_mode"):
                code = next(iter(cell.findall(nodes.literal_block)), None)
                name = toggle_name(code.astext() if code else "")
                cell["prompt_show"] = cell["prompt_hide"] = name


def toggle_name(code: str) -> str:
    """What a folded cell is called: by its first comment, else by its first line of work."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    comments = [line for line in lines if line.startswith("# ")]
    work = [line for line in lines if not line.startswith(("#", "import ", "from "))]
    if not comments and not work:
        return "Code: imports" if lines else "Code"
    return f"Code: {(comments or work)[0].lstrip('# ').rstrip('.:(')}"


def built_with(records: str, course: dict | None) -> str:
    """The line for a chapter, without its end. records: address of the page that explains profiles;
    course: what `make pages` noted in the notebook, None when the build itself executes it."""
    profile = settings.PROFILES[course["profile"]] if course else settings.profile()
    name = f'<a href="{records}#profiles">profile <code>{profile.name}</code></a>'
    if course is None:
        return f"This page was run just now under {name}: {profile.says}."
    told = {key: html.escape(str(value)) for key, value in course.items()}
    data = f", on {told['data']}" if told["data"] else ""
    accelerators = f" and {told['accelerators']}" if told.get("accelerators") else ""
    return (
        f"Run on {told['date']}{data} under {name}, with {told['cores']} cores of "
        f"{told['processor']}{accelerators}; code of commit {told['commit']}."
    )


LINK = re.compile(r"\s*<p>(<a [^>]*>)Open this page in Colab</a></p>")


def mark_chapter(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Say below the title of a page that was a notebook how it was run, and link it to Colab."""
    path = str(app.env.doc2path(page))
    if doctree is None or not path.endswith(".ipynb"):
        return
    course = None
    if app.config.nb_execution_mode == "off":
        course = json.loads(Path(path).read_text(encoding="utf-8"))["metadata"].get("course")
    line, body = built_with(context["pathto"]("book/records"), course), context["body"]
    if link := LINK.search(body):
        body = body.replace(link[0], "", 1)
        line += f" {link[1]}Open in Colab</a>"
    context["body"] = body.replace("</h1>", f'</h1>\n<p class="built-with">{line}</p>', 1)


def mend_roles(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """docutils puts entries with a role that is none of a list's into a list of sources."""
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


def add_palette(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """The colours of the diagrams for the stylesheet, from the one place that names them."""
    context["metatags"] = context.get("metatags", "") + f"<style>{palette.css()}</style>"


ONE = r"[+−-]?\d[\d,.]*(e[+-]?\d+)?(\s±\s[\d.]+)?( ?%)?(\s\(\d+\sseeds?\))?"
NUMBER = re.compile(f"{ONE}(,?\\s{ONE})*")  # or several: "12, 13, 12"
NO_NUMBER = {"", "nan", "none", "not recorded yet"}  # what stands where one is missing


def align_numbers(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Columns of numbers in tables that cells print stand at the right, their heads too."""
    # pandas: its own tables have a class, styled ones an id
    table = re.compile(r'<table[^>]*(?:\bdataframe\b|\bid="T_).*?</table>', re.S)
    context["body"] = table.sub(lambda found: aligned(found[0]), context.get("body", ""))


def aligned(table: str) -> str:
    """The HTML of a table whose columns of numbers have the class `text-right`."""
    soup = BeautifulSoup(table, "html.parser")
    for name in soup.select("tbody th"):
        if re.fullmatch(r"[\w-]+/[\w-]+", name.get_text()):  # an experiment's id may break here
            name.string.replace_with(
                BeautifulSoup(name.string.replace("/", "/<wbr/>"), "html.parser")
            )
    soup.table["class"] = ["dataframe"]
    rows = [row.find_all(["th", "td"]) for row in soup.find_all("tr")]
    for column in zip(*rows, strict=False):
        cells = [cell for cell in column if cell.name == "td"]
        told = {cell.get_text().strip() for cell in cells} - NO_NUMBER
        if told and all(map(NUMBER.fullmatch, told)):
            for cell in column:
                cell["class"] = [*cell.get("class", []), "text-right"]
    return str(soup)


def mend_code(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Lines of code as elements that know their indent; toggles named by what one sees."""
    body = context.get("body", "").replace(
        '<summary aria-label="Toggle hidden content">', "<summary>"
    )
    context["body"] = PRE.sub(lambda found: found[1] + by_line(found[2]), body)


PRE = re.compile(r'(<div class="highlight"><pre>)(.*?)(?=</pre>)', re.S)


def by_line(code: str) -> str:
    """Highlighted code, a span around each line: Pygments' own spans end where a line does.

    A line may break at its blanks, and behind what opens or parts.
    """
    found = ""
    for line in code.removesuffix("\n").split("\n"):
        text = re.sub("<[^>]*>", "", line)
        line = re.sub(r'(<span class="[op]">[^<]*[(\[{.,=]</span>)(?=<)', r"\1<wbr/>", line)
        indent = len(text) - len(text.lstrip(" "))
        line = re.sub(r"(?<=[ >])(--[\w-]+)", r'<span class="whole">\1</span>', line)  # options
        found += f'<span class="line" style="--indent:{indent}">{line}\n</span>'
    return found


STATUS = re.compile(r'(<p>\s*)<small class="(measured|derived|conjecture)"')


def hang_marks(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """A mark that begins its paragraph hangs in the margin; one inside it stays in its line."""
    context["body"] = STATUS.sub(r'\1<small class="\2 hanging"', context.get("body", ""))


def title_once(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """The cover is called as the book is: do not say so twice in its <title>."""
    if page == app.config.root_doc:
        context["docstitle"] = ""


def drop_thebe(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    def thebe(script) -> bool:
        name, body = getattr(script, "filename", None), script.attributes.get("body")
        return "thebe" in (name or "") or "THEBE_JS_URL" in (body or "")

    context["script_files"] = [s for s in context["script_files"] if not thebe(s)]


def link_chapters(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """The chapters that the glossary names, as links where they are in the book."""
    chapters = {int(n[5:7]): n for n in app.env.found_docs if re.match(r"book/\d\d-", n)}

    def link(found: re.Match) -> str:
        name = chapters.get(int(found[1]))
        return f'(<a href="{context["pathto"](name)}">{found[0][1:-1]}</a>)' if name else found[0]

    if page == "book/glossary":
        context["body"] = re.sub(r"\(chapter (\d+)\)", link, context["body"])


def note_terms(app: Sphinx, doctree: nodes.document) -> None:
    """To MyST, headings alone are anchors: a link to a term would count as broken."""
    anchors = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for term in doctree.findall(nodes.term):
        anchors |= {name: (0, name, term.astext()) for name in term["ids"]}


def setup(app: Sphinx) -> dict:
    app.add_directive("course-figure", CourseFigure)
    app.add_directive("course-api", sphinx_api.CourseApi)
    app.connect("doctree-read", note_terms)
    for transform in (WithoutScript, FoldedCells):
        app.add_post_transform(transform)
    mends = (
        mark_chapter,
        mend_roles,
        mend_code,
        hang_marks,
        title_once,
        add_palette,
        link_chapters,
    )
    for change in (*mends, align_numbers):
        app.connect("html-page-context", change)
    # Late, so that the scripts that other extensions add for this page are there to be dropped.
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
