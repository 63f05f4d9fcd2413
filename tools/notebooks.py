"""Notebooks in one form, so that a diff shows what the author changed and nothing else.

    python tools/notebooks.py book/              write that form
    python tools/notebooks.py --check book/      say which notebooks are not in it
    python tools/notebooks.py --outputs book/    run under profile ci, store the checked outputs

Outputs and counts are cleared, except in cells that begin with `# NBVAL_CHECK_OUTPUT`: those keep
both, for without a count nbval compares nothing. Chapters, the notebooks in book/, also get their
first cell (it fetches the course in Colab) and the link below their title.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import address
import nbformat
from nbformat import NotebookNode, v4

ROOT = Path(__file__).resolve().parent.parent
CHECKED = "# NBVAL_CHECK_OUTPUT"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Jupyter Book hides it by the first tag; nbval knows only the second, Jupyter Book the third.
SETUP_TAGS = ["remove-cell", "nbval-skip", "skip-execution"]
SETUP = """\
# For Colab: fetch the course and install its library. Does nothing anywhere else.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from pathlib import Path

    from google.colab import output

    repository = "{repository}"
    course = f"/content/{{Path(repository).name}}"
    if not Path(course).exists():
        subprocess.run(["git", "clone", "--quiet", "--depth=1", repository, course], check=True)
    %pip install --quiet --editable {{course}}
    sys.path.insert(0, course)  # this kernel started before the install
    %cd {{course}}/book
    output.enable_custom_widget_manager()
"""
LINK = "[Open this page in Colab]({})"


class Fault(Exception):
    """A notebook that cannot be brought into form. The message says why."""


def is_checked(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.source.startswith(CHECKED)


def is_chapter(path: Path) -> bool:
    return path.resolve().parent == ROOT / "book"


def setup_cell() -> NotebookNode:
    """The first cell of every chapter."""
    source = SETUP.format(repository=address.repository()).strip()
    return v4.new_code_cell(source, metadata={"tags": list(SETUP_TAGS)})


def normalised(notebook: NotebookNode, chapter: str | None = None) -> NotebookNode:
    """The same notebook in the one form. chapter: its file name, when it lies in book/."""
    cells = [_cell(cell) for cell in notebook.cells if cell.source.strip()]
    if chapter:
        if cells and cells[0].metadata.get("tags") == SETUP_TAGS:
            del cells[0]
        cells = [setup_cell(), *_with_link(cells, chapter)]
    _number(cells)
    return v4.new_notebook(cells=cells, metadata=METADATA)


def _cell(cell: NotebookNode) -> NotebookNode:
    cell = NotebookNode(cell, source=cell.source.strip("\n"), metadata=_kept(cell.metadata))
    if cell.cell_type == "code":
        outputs = cell.outputs if is_checked(cell) else []
        cell.outputs = [_output(output) for output in outputs]
        # Always 1: nbval asks only that there is a count, and a new cell moves no other.
        cell.execution_count = 1 if cell.outputs else None
    return cell


def _kept(metadata: NotebookNode) -> dict:
    kept = {}
    if metadata.get("tags"):
        kept["tags"] = list(dict.fromkeys(metadata["tags"]))
    if alt := metadata.get("mystnb", {}).get("image", {}).get("alt"):
        kept["mystnb"] = {"image": {"alt": alt}}
    return kept


def _output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "error" or output.get("name") == "stderr":
        raise Fault(f"a checked cell has stored an error or a warning: {output}")
    fixed = {"metadata": {}, "execution_count": 1}
    return NotebookNode({key: fixed.get(key, value) for key, value in output.items()})


def _with_link(cells: list[NotebookNode], chapter: str) -> list[NotebookNode]:
    """Write the link to Colab below the title of the first cell."""
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        raise Fault("must begin with a Markdown cell whose first line is the title, '# …'")
    link = LINK.format(f"{address.colab(address.repository())}/blob/main/book/{chapter}")
    text = re.sub(rf"\n*^{re.escape(LINK[:-4])}.*$", "", cells[0].source, flags=re.M)
    title, _, rest = text.partition("\n")
    cells[0].source = f"{title}\n\n{link}\n\n{rest.strip()}".strip()
    return cells


def _number(cells: list[NotebookNode]) -> None:
    """Ids from the cells' own text: a change in one cell changes no other id."""
    seen = Counter()
    for cell in cells:
        name = hashlib.sha256(f"{cell.cell_type} {cell.source}".encode()).hexdigest()[:8]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


def text_of(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def read(path: Path) -> NotebookNode:
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise Fault(f"not a notebook: {error}") from error


def form(path: Path) -> str:
    """What the file should hold."""
    return text_of(normalised(read(path), path.name if is_chapter(path) else None))


def write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def with_outputs(path: Path) -> str:
    """Run the notebook under profile ci; its form with the outputs that the checked cells gave."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = read(path)
    with tempfile.TemporaryDirectory() as runs:
        os.environ.update(COURSE_PROFILE="ci", COURSE_RUNS_DIR=runs)
        client = NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise Fault(f"a cell failed\n{error}") from error
    return text_of(normalised(notebook, path.name if is_chapter(path) else None))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="notebook or folder")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing")
    how.add_argument("--outputs", action="store_true", help="run, and store checked outputs")
    chosen = parser.parse_args(arguments)
    status = 0
    for path in chosen.paths:
        for file in sorted(path.glob("*.ipynb")) if path.is_dir() else [path]:
            try:
                wanted = with_outputs(file) if chosen.outputs else form(file)
                if wanted == file.read_text(encoding="utf-8"):
                    continue
                if chosen.check:
                    raise Fault("not in form; run `make format`")
                write(file, wanted)
                print(f"{file}: written")
            except (Fault, OSError) as fault:
                print(f"{file}: {fault}", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
