"""Notebooks in one form, so that a diff shows what the author changed and nothing else.

    python tools/notebooks.py book/              write that form
    python tools/notebooks.py --check book/      say what is not in it, and which outputs are old

Outputs are kept where `make pages` stored them (tools/pages.py), and cleared elsewhere. Of the code
cells, those tagged `facts` or `recorded` give the same everywhere: nbval compares them. All others
are live. Chapters, the notebooks in book/, also get their first cell (it fetches the course in
Colab) and the link below their title.
"""

import argparse
import hashlib
import os
import re
import sys
from collections import Counter
from pathlib import Path

import address
import nbformat
import outputs
from nbformat import NotebookNode, v4
from outputs import Fault

ROOT = Path(__file__).resolve().parent.parent
COMPARED = {"facts", "recorded"}
NBVAL = "nbval-check-output"  # the tag by which nbval knows those cells
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


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def is_compared(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(COMPARED & set(tags(cell)))


def is_run(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and "skip-execution" not in tags(cell)


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
    for number, cell in enumerate((c for c in cells if c.cell_type == "code"), 1):
        try:
            _store(cell)
        except Fault as fault:
            raise Fault(f"cell {number} {fault}") from None
    metadata = dict(METADATA)
    if course := notebook.metadata.get("course"):
        metadata["course"] = course
    if widgets := outputs.trim_widgets(cells, notebook.metadata):
        metadata["widgets"] = widgets
    return v4.new_notebook(cells=cells, metadata=metadata)


def _cell(cell: NotebookNode) -> NotebookNode:
    return NotebookNode(cell, source=cell.source.strip("\n"), metadata=_kept(cell))


def _store(cell: NotebookNode) -> None:
    """Bring the outputs of a code cell into form; clear them where `make pages` stored none."""
    ran = cell.metadata.get("course")
    untouched = ran and ran["gave"] == outputs.gave(cell)
    cell.outputs = outputs.tidy(cell.outputs, cell.id) if ran else []
    if untouched:
        ran["gave"] = outputs.gave(cell)
    # Always 1: nbval asks only that there is a count, and a new cell moves no other.
    cell.execution_count = 1 if cell.outputs else None


def _kept(cell: NotebookNode) -> dict:
    kept, metadata = {}, cell.metadata
    chosen = [tag for tag in dict.fromkeys(tags(cell)) if tag != NBVAL]
    if set(chosen) >= COMPARED:
        raise Fault(f"a cell is either facts or recorded: {cell.source[:50]!r}")
    if cell.cell_type == "code" and COMPARED & set(chosen):
        chosen.append(NBVAL)
    if chosen:
        kept["tags"] = chosen
    if alt := metadata.get("mystnb", {}).get("image", {}).get("alt"):
        kept["mystnb"] = {"image": {"alt": alt}}
    if cell.cell_type == "code" and "course" in metadata and is_run(cell):
        kept["course"] = dict(metadata["course"])
    return kept


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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="notebook or folder")
    parser.add_argument("--check", action="store_true", help="write nothing; name old outputs too")
    chosen = parser.parse_args(arguments)
    status = 0
    for path in chosen.paths:
        for file in sorted(path.glob("*.ipynb")) if path.is_dir() else [path]:
            try:
                wanted = form(file)
                if chosen.check and is_chapter(file):
                    if len(wanted.encode()) > outputs.MOST_BYTES:
                        raise Fault(f"{len(wanted.encode()):,} bytes; a page has at most 1.5 MB")
                    if old := outputs.stale(read(file)):
                        raise Fault("; ".join(old))
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
