"""What the cells of a notebook gave, in the one form in which it is stored, and whether it is old.

A cell that was run keeps two hashes in its metadata, of its source and of its outputs: `ran` tells
a cell that was changed since, `gave` outputs that came from somewhere else than `make pages`.
"""

import ast
import functools
import hashlib
import json
import re
from pathlib import Path

from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "course_lib"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MODEL = "IPY_MODEL_"
MOST_BYTES = 1_500_000  # of a page


class Fault(Exception):
    """A notebook that cannot be brought into form. The message says why."""


def ran(cell: NotebookNode) -> str:
    """The hash of a cell's source."""
    return hashlib.sha256(cell.source.strip("\n").encode()).hexdigest()[:12]


def gave(cell: NotebookNode) -> str:
    """The hash of a cell's outputs, but for the names of the widgets in them."""
    without = re.sub(r'"model_id": "[^"]*"', "", json.dumps(cell.outputs, sort_keys=True))
    return hashlib.sha256(without.encode()).hexdigest()[:12]


def tidy(outputs: list[NotebookNode], name: str) -> list[NotebookNode]:
    """The outputs without what differs from run to run or belongs to one machine.

    name: a short name of the cell, for the ids of its tables. Raises Fault for an error, a
    warning or a path of this machine.
    """
    tidied = []
    for place, output in enumerate(outputs):
        if output.output_type == "error":
            raise Fault(f"has stored an error: {output.get('ename')}: {output.get('evalue')}")
        if output.get("name") == "stderr":
            if said := [line for line in output.text.splitlines() if "it/s" not in line]:
                raise Fault(f"has stored a warning: {' '.join(said)[:300]}")
            continue  # a progress bar
        fixed = {"metadata": {}, "execution_count": 1}
        output = NotebookNode({key: fixed.get(key, value) for key, value in output.items()})
        if "text" in output:
            output.text = _text(output.text, name, place)
        for kind, value in output.get("data", {}).items():
            if isinstance(value, str) and kind.startswith(("text/", "image/svg")):
                output.data[kind] = _text(value, name, place)
        tidied.append(output)
    return tidied


def _text(text: str, name: str, place: int) -> str:
    text = re.sub(r"^.*\r(?!\n)", "", text.replace("\r\n", "\n"), flags=re.M)  # overwritten lines
    text = re.sub(r"\bat 0x[0-9a-f]+", "at 0x0", text)
    text = re.sub(r"\bT_[0-9a-f]{5}(?![0-9a-f])", f"T_{name[:5]}", text)  # pandas' ids of tables
    shapes = dict.fromkeys(re.findall(r'\bid="([mp][0-9a-f]{10})"', text))  # Matplotlib's
    for number, shape in enumerate(shapes):
        text = text.replace(shape, f"{shape[0]}-{name}-{place}-{number}")
    text = text.replace(f"{ROOT}/", "")
    if found := re.search(r"(?<![\w.])/(home|root|tmp|Users)/\S*", text):
        raise Fault(f"shows a path of this machine: {found[0][:80]}")
    return text


def mark(cell: NotebookNode) -> None:
    """Note that the outputs of `cell`, in form, are those of its present source."""
    cell.metadata["course"] = {"ran": ran(cell), "gave": gave(cell)}


def trim_widgets(cells: list[NotebookNode], metadata: dict) -> dict:
    """The state of the widgets that the cells show, and no other, under names from the cells' ids.

    Changes the views in the outputs to these names. What is None is left out, for that is the
    default. metadata: of the notebook. Returns its entry `widgets`, empty when no cell shows one.
    """
    states = metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    names: dict[str, str] = {}

    def name(model: str, cell: str) -> None:
        if model in names:
            return
        if model not in states:
            raise Fault("shows a widget without its state")
        taken = sum(other.startswith(f"{cell}-") for other in names.values())
        names[model] = f"{cell}-{taken}"
        for other in re.findall(f"{MODEL}([\\w-]+)", json.dumps(states[model]["state"])):
            name(other, cell)

    for cell in cells:
        for output in cell.get("outputs", []):
            if view := output.get("data", {}).get(VIEW):
                name(view["model_id"], cell.id)
                output.data[VIEW] = view | {"model_id": names[view["model_id"]]}
    kept = {}
    for model, new in sorted(names.items(), key=lambda pair: pair[1]):
        state = {key: value for key, value in states[model]["state"].items() if value is not None}
        text = re.sub(f"{MODEL}([\\w-]+)", lambda m: MODEL + names[m[1]], json.dumps(state))
        kept[new] = states[model] | {"state": json.loads(text)}
    return {STATE: {"state": kept, "version_major": 2, "version_minor": 0}} if kept else {}


def scripts() -> dict[str, dict[str, str]]:
    """By the name of its module, the script and the style that each explorer has today."""
    from course_lib.explorers import kit

    return {
        f"course_lib.explorers.{file.stem}": {
            "_esm": kit.script(str(file.with_suffix(".py"))),
            "_css": kit.Explorer._css,
        }
        for file in kit.KIT.parent.glob("*.js")
        if file != kit.KIT
    }


def explorers(notebook: NotebookNode) -> list[tuple[str, dict]]:
    """(module, state) of each stored widget that is one of the course's explorers."""
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}).values()
    found = [(m["state"].get("_anywidget_id", "").rpartition(".")[0], m["state"]) for m in models]
    return [(module, state) for module, state in found if module.startswith("course_lib.")]


@functools.cache
def shown_codes() -> set[str]:
    """Every function and class of the library as `figures.source` shows it, found without Keras."""
    codes = set()
    for file in LIBRARY.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
                code = text.splitlines()[first : node.end_lineno]
                if ast.get_docstring(node):
                    told = node.body[0]
                    del code[told.lineno - 1 - first : told.end_lineno - first]
                codes.add("\n".join(code))
    return codes


def stale(notebook: NotebookNode) -> list[str]:
    """What of the stored outputs does not fit the cells and the library of today, a line each."""
    lines, number = [], 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        number += 1
        tags = cell.metadata.get("tags", [])
        if "skip-execution" in tags:
            continue
        again = "make pages RECORDED=1" if {"facts", "recorded"} & set(tags) else "make pages"
        called = f"cell {number} ({cell.source.splitlines()[0].strip()[:50]})"
        stored = cell.metadata.get("course", {})
        if not stored:
            lines.append(f"{called} was never run: {again}")
        elif stored["ran"] != ran(cell):
            lines.append(f"{called} was changed after it was run: {again}")
        elif stored["gave"] != gave(cell):
            lines.append(f"{called} holds outputs of another run: {again}")
        for output in cell.outputs:
            shown = output.get("data", {}).get("text/markdown", "")
            if shown.startswith("```python\n"):
                code = shown.removeprefix("```python\n").removesuffix("\n```")
                if code not in shown_codes():
                    lines.append(f"{called} shows code that was changed since: {again}")
    widgets = explorers(notebook)
    now = scripts() if widgets else {}
    old = {name for name, state in widgets if not now.get(name, {"": ""}).items() <= state.items()}
    for module in sorted(old):
        lines.append(f"{module} was changed since its widget was stored: make pages RECORDED=1")
    return lines
