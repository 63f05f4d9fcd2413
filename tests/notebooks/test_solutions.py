"""The solutions of the exercises are folded text; here they run, after the cells of their page."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
SOLUTION = re.compile(r"<summary>Solution</summary>(.*?)</details>", re.S)
CODE = re.compile(r"```python\n(.*?)```", re.S)


def solutions(notebook) -> list[str]:
    """The Python code in the folded solutions, in the order of the page."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [
        code for text in texts for part in SOLUTION.findall(text) for code in CODE.findall(part)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_run_after_the_cells_of_their_page(chapter, monkeypatch, tmp_path):
    notebook = nbformat.read(chapter, as_version=4)
    found = solutions(notebook)
    assert len(found) >= 2, "a chapter has at least two exercises with solutions in code"
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][1:]
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in found]
    monkeypatch.setenv("COURSE_PROFILE", "ci")
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path))
    place = {"metadata": {"path": str(BOOK)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
