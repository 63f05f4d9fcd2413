"""Run the chapters and store what their pages show: `make pages`.

    python tools/pages.py [NOTEBOOK …]            run under `quick`, on real photographs, and store
    python tools/pages.py --recorded [NOTEBOOK …] without training: facts, and what records say
    python tools/pages.py --nbval FOLDER          copies for nbval, the solutions' code at the end

A chapter is stored whole, after its last cell, or not at all.
"""

import argparse
import copy
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import notebooks
import outputs
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from outputs import STATE, Fault

from course_lib import processor, settings

BOOK = notebooks.ROOT / "book"
SOLUTION = re.compile(r"<summary>Solution</summary>(.*?)</details>", re.S)
# Asked of the kernel behind the last cell: the data sets that were loaded, and the accelerators.
PROBE = """
import gc, json, sys
from course_lib.datasets import Dataset
backend = sys.modules.get("course_lib.backend")
print(json.dumps({
    "data": ", ".join(sorted({o.name for o in gc.get_objects() if type(o) is Dataset})),
    "accelerators": ", ".join(backend.hardware()["accelerators"]) if backend else "",
}))
"""
CODE = re.compile(r"```python\n(.*?)```", re.S)


def solutions(notebook: NotebookNode) -> list[str]:
    """The Python code in the folded solutions, in the order of the page."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [
        code for text in texts for part in SOLUTION.findall(text) for code in CODE.findall(part)
    ]


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy for nbval: it checks the code of the solutions after the cells of their page."""
    tried = copy.deepcopy(notebook)
    tried.cells += [nbformat.v4.new_code_cell(code) for code in solutions(notebook)]
    return tried


def needed(cell: NotebookNode) -> bool:
    """Whether a cell belongs to those that run without training."""
    imports = re.match(r"(#.*\n|\n)*(from|import) ", cell.source)
    return notebooks.is_run(cell) and bool(imports or notebooks.is_compared(cell))


def execute(cells: list[NotebookNode], timeout: int = 1200) -> tuple[dict, dict]:
    """Run these cells in a kernel of their own; they hold the new outputs then.

    Returns the states of the widgets, and what PROBE found. Raises Fault when a cell fails.
    """
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(PROBE)])
    place = {"metadata": {"path": str(BOOK)}}
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=place)
    client.coalesce_streams = True
    try:
        client.execute()
    except CellExecutionError as error:
        raise Fault(f"a cell failed\n{error}") from error
    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return states, json.loads(notebook.cells[-1].outputs[-1].text)


def stored(path: Path, recorded: bool = False) -> str:
    """Run the chapter; the text of the notebook with its outputs."""
    notebook = notebooks.read(path)
    notebook = notebooks.normalised(notebook, path.name)
    chosen = [cell for cell in notebook.cells if (needed if recorded else notebooks.is_run)(cell)]
    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    if recorded:
        now = outputs.scripts()
        for module, state in outputs.explorers(notebook):
            state.update(now.get(module, {}))
    else:
        states = {}
    if not recorded:  # before it runs: HEAD may move meanwhile
        notebook.metadata["course"] = circumstances()
    shown, found = execute(chosen)
    states |= shown
    if not recorded:
        notebook.metadata["course"] |= found
    notebook.metadata["widgets"] = {STATE: {"state": states}}
    for cell in chosen:
        try:
            cell.outputs = outputs.tidy(cell.outputs, cell.id)
        except Fault as fault:
            raise Fault(f"the cell {cell.source[:60]!r} {fault}") from None
        outputs.mark(cell)
    return notebooks.text_of(notebooks.normalised(notebook, path.name))


def circumstances() -> dict:
    """When and from which commit a page is run, for its line below the title. PROBE adds data."""
    return {
        "date": datetime.date.today().isoformat(),
        "profile": settings.profile().name,
        "processor": processor.cpuinfo("model name") or platform.processor() or "unknown",
        "cores": processor.cores(),
        "commit": settings.commit(),
    }


def chapters(names: list[str]) -> list[Path]:
    """The notebooks with these numbers or paths; all without any."""
    found = sorted(BOOK.glob("*.ipynb"))
    if names:
        paths = [Path(name).resolve() for name in names]
        found = [p for p in found if p.name.startswith(tuple(names)) or p in paths]
    if not found:
        raise Fault(f"no chapter {' '.join(names)} in {BOOK}; CHAPTER=03 names one")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pages", description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="numbers or notebooks; all without any")
    parser.add_argument("--recorded", action="store_true", help="only what needs no training")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--nbval", type=Path, metavar="FOLDER", help="write copies for nbval there")
    chosen = parser.parse_args(arguments)
    try:
        paths = chapters(chosen.chapters)
        if chosen.nbval:
            chosen.nbval.mkdir(parents=True, exist_ok=True)
            for path in paths:
                text = notebooks.text_of(with_solutions(notebooks.read(path)))
                (chosen.nbval / path.name).write_text(text, encoding="utf-8")
            return 0
        os.environ["COURSE_PROFILE"] = "quick"
        os.environ.pop("COURSE_SEED", None)
        if chosen.data:
            os.environ["COURSE_DATA_DIR"] = str(chosen.data.resolve())
        if not chosen.recorded:
            prepare = [sys.executable, "-m", "course_lib", "prepare", "cifar10"]
            if status := subprocess.run(prepare, cwd=notebooks.ROOT).returncode:
                return status
        for path in paths:
            with tempfile.TemporaryDirectory() as runs:
                os.environ["COURSE_RUNS_DIR"] = runs
                notebooks.write(path, stored(path, chosen.recorded))
            print(f"{path.relative_to(notebooks.ROOT)}: stored", flush=True)
    except (Fault, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
