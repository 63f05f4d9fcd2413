"""Today's Colab: its packages, a chapter's first cell, a training of every family, the chapters.

`make test-colab` runs this in an environment of the packages in colab.txt. The first cell clones
what the checkout has committed (git fetches it from here, not from its home) into a folder that
stands for /content, and installs it with pip beside Colab's packages.
"""

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks
import pytest
from nbclient import NotebookClient
from nbformat import v4

from course_lib import experiments, explorers

# What this process needs of the course's own packages; in Colab the first cell has to install them.
os.environ.pop("PYTHONPATH", None)

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
PINS = (Path(__file__).with_name("colab.txt")).read_text(encoding="utf-8").splitlines()
PINS = dict(line.lower().replace("_", "-").split("==") for line in PINS if "==" in line)

# Of each family, on each data set, the cheapest network.
CHEAPEST = {
    (e.builder.split(".")[0], e.dataset): e.id
    for e in sorted(map(experiments.get, experiments.ids()), key=lambda e: -e.macs)
}
PICTURES = """from course_lib import datasets, experiments
images = datasets.load('synthetic').x_test[:8]
runs = lambda id: experiments.get(id).records('quick')
"""
# What an explorer is given, where it needs something.
ARGUMENTS = {
    "AugmentExplorer": "images, (125.3, 123.0, 113.9)",
    "ConfusionExplorer": "[[2, 1], [0, 3]], ['cat', 'dog']",
    "DiagnoseExplorer": "[(runs('small-cnn/few-images')[0]['history'], 'by heart', 'a gap', "
    "'few-images')], ['dead', 'by heart']",
    "DriveExplorer": "[((4,), runs('deepergooglenet/thin-early')), "
    "((), runs('deepergooglenet/thin-never'))]",
    "SignalExplorer": "images, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)",
    "StackExplorer": "images, range(8)",
    "Prediction": "'Which?', choices=['one', 'the other'], answer='one'",
}
# What Colab has loaded before the first cell.
COLAB = """\
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.modules["google.colab"].output = types.SimpleNamespace(enable_custom_widget_manager=print)
"""


def installed() -> dict[str, str]:
    """The version of every package of this environment, by its name as in PINS."""
    listed = subprocess.check_output([sys.executable, "-m", "pip", "list", "--format=json"])
    return {p["name"].lower().replace("_", "-"): p["version"] for p in json.loads(listed)}


def executed(folder: Path, *sources: str):
    """A notebook of these cells, run in a kernel of its own that starts as Colab's does."""
    first = nbformat.read(CHAPTERS[0], as_version=4).cells[0].source
    assert "/content/" in first, "the first cell has changed: change this test with it"
    first = first.replace("/content/", f"{folder}/")
    notebook = v4.new_notebook(cells=[v4.new_code_cell(s) for s in (COLAB, first, *sources)])
    home = notebooks.repository()
    git = {"COUNT": "1", "KEY_0": f"url.file://{ROOT}.insteadOf", "VALUE_0": home}
    ours = {f"GIT_CONFIG_{key}": value for key, value in git.items()}
    ours |= {"COURSE_PROFILE": "ci", "COURSE_RUNS_DIR": str(folder / "runs")}
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=os.environ | ours)


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """(the folder that stands for /content, packages before, packages after) the first cell."""
    folder, before = tmp_path_factory.mktemp("content"), installed()
    ran = executed(folder, "import course_lib\nprint(course_lib.__file__)")
    assert ran.cells[-1].outputs[0].text.startswith(str(folder)), "another course was imported"
    return folder, before, installed()


def test_the_packages_are_colabs():
    here = installed()
    assert {name: here.get(name) for name in PINS} == PINS


def test_the_first_cell_replaces_no_package(colab):
    _, before, after = colab
    assert {name: after.get(name) for name in before} == before
    # What Colab lacks is added, and only that.
    assert after.keys() - before.keys() == {"micro-architectures", "filelock", "msgspec"}


def widgets() -> list[tuple[str, str]]:
    """(module, class) of every explorer."""
    modules = [m.name for m in pkgutil.iter_modules(explorers.__path__, "course_lib.explorers.")]
    return [
        (module, name)
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if inspect.isclass(value) and value.__module__ == module and hasattr(value, "_esm")
    ]


@pytest.mark.parametrize("id", CHEAPEST.values())
def test_a_network_of_the_family_trains(colab, id):
    """The command line, in the clone: what a reader's `run` does, under the profile ci."""
    (course,) = (file.parent for file in colab[0].glob("*/pyproject.toml"))
    runs = colab[0] / "runs"
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", "run", id, "--profile", "ci"],
        cwd=course,
        env=os.environ | {"COURSE_RUNS_DIR": str(runs)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((runs / id / "ci-seed0.json").read_text(encoding="utf-8"))
    assert record["versions"]["keras"] == PINS["keras"]


@pytest.mark.parametrize(("module", "name"), widgets())
def test_an_explorer_is_imported_and_displayed(colab, module, name):
    cell = f"from {module} import {name}\n{name}({ARGUMENTS.get(name, '')})"
    ran = executed(colab[0], PICTURES + cell)
    (output,) = ran.cells[-1].outputs
    view = output.data["application/vnd.jupyter.widget-view+json"]
    models = ran.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert models[view["model_id"]]["state"]["_esm"].strip(), "the page gets no script"


def first_cells(chapter: Path) -> list[str]:
    """The code cells to the first one that trains, that one included: imports, tables, drawings
    and a first result. A chapter that trains nothing is taken whole."""
    sources = []
    for cell in nbformat.read(chapter, as_version=4).cells[1:]:
        if cell.cell_type == "code" and "skip-execution" not in cell.metadata.get("tags", []):
            sources.append(cell.source)
            if "tiny.run(" in cell.source:
                break
    return sources


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_first_cells_of_a_chapter_run(colab, chapter):
    assert executed(colab[0], *first_cells(chapter))
