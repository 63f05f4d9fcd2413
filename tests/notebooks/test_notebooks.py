"""What holds for every chapter."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import notebooks
import pages
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

BOOK = notebooks.ROOT / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
FUNCTION_LINES = 12
CELL_LINES = 30

chapters = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]


def tree(cell) -> ast.Module:
    """The cell as plain Python, its magics turned into calls."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def test_chapters_are_numbered_and_listed_in_their_order():
    contents = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    names = [f"book/{path.stem}" for path in CHAPTERS]
    assert names, "there is at least one chapter"
    assert [name for name in listed if re.match(r"book/\d", name)] == names
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+", path.stem) for path in CHAPTERS)


@chapters
def test_it_is_in_form(path):
    assert notebooks.form(path) == path.read_text(encoding="utf-8"), "run make format"


@chapters
def test_it_begins_with_the_cell_for_colab_and_only_there(path):
    first, *others = code_cells(path)
    assert first == notebooks.read(path).cells[0] == notebooks.setup_cell() | {"id": first.id}
    assert not [cell for cell in others if "google.colab" in cell.source]


@chapters
def test_facts_and_recorded_cells_need_no_live_cell(path):
    """So that `make pages RECORDED=1` can run them alone."""
    cells = [cell for cell in code_cells(path) if pages.needed(cell)]
    assert any(map(notebooks.is_compared, cells)), "at least one cell states facts"
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "--isolated", "--select=F821", "-"]
    code = "\n".join(cell.source for cell in cells)
    done = subprocess.run(ruff, input=code, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@chapters
def test_exercises_have_solutions_in_code(path):
    assert len(pages.solutions(notebooks.read(path))) >= 2


@chapters
def test_what_one_runner_skips_the_other_skips_too(path):
    for cell in code_cells(path):
        tags = set(cell.metadata.get("tags", []))
        assert len(tags & {"nbval-skip", "skip-execution"}) != 1, cell.source


@chapters
def test_it_asserts_its_claims_and_names_them(path):
    nodes = [
        node for cell in code_cells(path) if notebooks.is_run(cell) for node in ast.walk(tree(cell))
    ]
    asserts = [node for node in nodes if isinstance(node, ast.Assert)]
    assert all(node.msg for node in asserts), "an assert without a message names no claim"
    assert len(asserts) >= 3


@chapters
def test_cells_are_short_and_define_no_helpers(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= CELL_LINES, cell.source
        for node in ast.walk(tree(cell)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


@chapters
def test_cells_import_nothing_for_maintainers(path):
    for cell in code_cells(path):
        assert not re.search(r"^\s*(from|import) (tools|tests)\b", cell.source, re.M)


@chapters
def test_text_is_plain_markdown_that_colab_knows(path):
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "markdown":
            assert not myst(cell.source), cell.source


def myst(text: str) -> list[str]:
    """Directives and roles of MyST in a text."""
    return re.findall(r"^\s*(?:`{3,}|:{3,}|~{3,})\s*\{.*|\{[\w:+.-]+\}`.*?`", text, re.M)


def test_myst_is_recognised():
    for text in ("```{note}\nx\n```", ":::{figure} a.svg", "see {ref}`fire`", "{cite:p}`he2015`"):
        assert myst(text), text
    for text in ("```python\nf'{x}'\n```", "a set $\\{1\\}$ and `x`", "f'{x}' and `y`"):
        assert not myst(text), text
