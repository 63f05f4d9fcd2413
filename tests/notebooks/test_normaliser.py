"""tools/notebooks.py and tools/outputs.py on notebooks as JupyterLab and Colab leave them."""

import os
import subprocess
import sys

import notebooks
import outputs
import pages
import pytest
from nbformat import v4
from notebooks import Fault, normalised, text_of

from course_lib import figures


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def dirty():
    """A title, a cell that `make pages` ran, and one with what does not belong in a diff."""
    result = v4.new_output("execute_result", {"text/plain": "2"}, execution_count=17)
    cells = [
        v4.new_markdown_cell("# A title\n\nText."),
        v4.new_code_cell("1 + 1\n", outputs=[stream("2\n"), result], execution_count=17),
        v4.new_code_cell("x = 1", outputs=[stream("noise\n")], execution_count=18),
        v4.new_code_cell(""),
    ]
    kernel = {"name": "my-env", "display_name": "mine"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "toc": {"a": 1}})
    notebook.cells[1].metadata["tags"] = ["facts"]
    outputs.mark(notebook.cells[1])
    notebook.cells[2].metadata = {
        "tags": ["full-run", "full-run"],
        "collapsed": True,
        "mystnb": {"image": {"alt": "a line", "width": 3}, "output_stderr": "remove"},
    }
    return notebook


def test_only_cells_that_were_run_for_the_page_keep_outputs_and_all_counts_are_one():
    _, ran, other = normalised(dirty()).cells
    assert [output.get("text") for output in ran.outputs] == ["2\n", None]
    assert ran.execution_count == ran.outputs[1].execution_count == 1
    assert ran.metadata["tags"] == ["facts", "nbval-check-output"]
    assert other.outputs == [] and other.execution_count is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<T at 0x7f01ab>", "<T at 0x0>"),
        ("a 10%\ra 100%\nb", "a 100%\nb"),
        (f"{notebooks.ROOT}/data/x", "data/x"),
        ('<style>#T_0a1b2_row0</style><table id="T_0a1b2">', "T_cell1"),
        ('<path id="m0123456789"/><use href="#m0123456789"/>', 'use href="#m-cell12-0-0"'),
    ],
)
def test_outputs_hold_nothing_of_one_run_and_one_machine(text, kept):
    assert kept in outputs.tidy([stream(text)], "cell12")[0].text


@pytest.mark.parametrize(
    "output",
    [
        stream("careful\n", "stderr"),
        stream("in /root/me/x"),
        v4.new_output("error", ename="E", evalue="", traceback=[]),
    ],
)
def test_no_cell_stores_a_warning_an_error_or_a_foreign_path(output):
    with pytest.raises(Fault):
        outputs.tidy([output], "cell12")


def test_a_page_is_old_when_a_cell_an_output_or_the_library_changed():
    notebook = normalised(dirty())
    del notebook.cells[2]
    assert outputs.stale(notebook) == []
    notebook.cells[1].source += "  # changed"
    assert outputs.stale(notebook)[0].startswith("cell 1 (1 + 1  # changed) was changed after")
    notebook.cells[1].source = "1 + 1"
    notebook.cells[1].outputs[0].text = "3\n"
    assert "outputs of another run: make pages RECORDED=1" in outputs.stale(notebook)[0]
    lines = figures.source("models.squeezenet.fire").text.splitlines()
    for code, old in ((lines, False), (lines[:-1], True), (lines[:2] + lines[3:], True)):
        text = {"text/markdown": "\n".join(["```python", *code, "```"])}
        notebook.cells[1].outputs = [v4.new_output("display_data", text)]
        outputs.mark(notebook.cells[1])
        assert ["shows code that was changed" in line for line in outputs.stale(notebook)] == [
            True
        ] * old


def with_widget(script):
    """A cell that shows an explorer, among states of which one is shown nowhere."""
    state = {"_anywidget_id": "course_lib.explorers.schedules.ScheduleExplorer", "_x": None}
    state |= outputs.scripts()["course_lib.explorers.schedules"] | {"layout": "IPY_MODEL_b"}
    state["_esm"] = script or state["_esm"]
    models = {"a": {"state": state}, "b": {"state": {}}, "c": {"state": {}}}
    view = v4.new_output("display_data", {outputs.VIEW: {"model_id": "a"}})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("show()", outputs=[view])])
    notebook.metadata["widgets"] = {outputs.STATE: {"state": models}}
    outputs.mark(notebook.cells[0])
    return normalised(notebook)


def test_widgets_are_stored_under_lasting_names_without_what_no_page_needs():
    notebook = with_widget(None)
    models = notebook.metadata["widgets"][outputs.STATE]["state"]
    shown, layout = models
    assert notebook.cells[0].outputs[0].data[outputs.VIEW]["model_id"] == shown
    assert models[shown]["state"]["layout"] == f"IPY_MODEL_{layout}"
    assert "_x" not in models[shown]["state"]
    assert outputs.stale(notebook) == []
    assert text_of(normalised(notebook)) == text_of(notebook)
    assert "schedules was changed" in outputs.stale(with_widget("// of old"))[0]


def test_metadata_is_what_the_list_allows():
    notebook = normalised(dirty())
    assert notebook.metadata == notebooks.METADATA
    assert notebook.cells[2].metadata == {
        "tags": ["full-run"],
        "mystnb": {"image": {"alt": "a line"}},
    }


def test_the_form_does_not_depend_on_the_way_to_it():
    once = normalised(dirty(), "07-fire.ipynb")
    assert text_of(normalised(once, "07-fire.ipynb")) == text_of(once)
    assert text_of(normalised(dirty(), "07-fire.ipynb")) == text_of(once)
    assert text_of(once).endswith("}\n")


def test_a_change_in_one_cell_changes_no_other_id():
    before = [cell.id for cell in normalised(dirty()).cells]
    notebook = dirty()
    notebook.cells[0].source += " More."
    notebook.cells.insert(1, v4.new_code_cell("y = 2"))
    notebook.cells.append(v4.new_code_cell("x = 1"))
    after = [cell.id for cell in normalised(notebook).cells]
    assert after[2:4] == before[1:] and after[0] != before[0]
    assert len(set(after)) == len(after), "two cells with the same text need two ids"


def test_a_chapter_gets_its_first_cell_and_its_link_once():
    notebook = normalised(dirty(), "07-fire.ipynb")
    notebook.cells[0].source = "import sys  # an older form of the cell"
    notebook.cells[1].source = notebook.cells[1].source.replace("07-fire", "06-fire")
    again = normalised(notebook, "07-fire.ipynb")
    assert [cell.cell_type for cell in again.cells] == ["code", "markdown", "code", "code"]
    assert again.cells[0].source == notebooks.setup_cell().source
    title, empty, link, *rest = again.cells[1].source.splitlines()
    assert (title, empty, rest) == ("# A title", "", ["", "Text."])
    assert link.startswith("[Open this page in Colab](https://colab.research.google.com/github/")
    assert link.endswith("/blob/main/book/07-fire.ipynb)")


def test_a_chapter_needs_a_title():
    notebook = dirty()
    del notebook.cells[0]
    with pytest.raises(Fault, match="title"):
        normalised(notebook, "07-fire.ipynb")


def test_check_names_the_file_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / "dirty.ipynb"
    path.write_text(text_of(dirty()), encoding="utf-8")
    before = path.read_bytes()
    assert notebooks.main(["--check", str(tmp_path)]) == 1
    assert "dirty.ipynb: not in form" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert notebooks.main([str(path)]) == 0
    assert notebooks.main(["--check", str(path)]) == 0


def test_what_is_no_notebook_is_named_and_left_alone(tmp_path, capsys):
    (tmp_path / "torn.ipynb").write_text('{"cells": [', encoding="utf-8")
    assert notebooks.main([str(tmp_path), str(tmp_path / "absent.ipynb")]) == 1
    error = capsys.readouterr().err
    assert "torn.ipynb: not a notebook" in error and "absent.ipynb" in error
    assert (tmp_path / "torn.ipynb").read_text(encoding="utf-8") == '{"cells": ['


def test_a_failed_write_leaves_the_notebook_whole(tmp_path, monkeypatch):
    path = tmp_path / "dirty.ipynb"
    path.write_text(text_of(dirty()), encoding="utf-8")
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert notebooks.main([str(path)]) == 1
    assert path.read_bytes() == before


@pytest.mark.slow
def test_only_facts_and_records_are_run_anew_without_training(tmp_path):
    """And a cell that fails stores nothing."""
    path = tmp_path / "01-page.ipynb"
    cells = {"# Imports\nimport os": "", "x = 1 / 0": "", "print(os.sep)": "recorded"}
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A title")])
    for source, tag in cells.items():
        notebook.cells.append(v4.new_code_cell(source, metadata={"tags": [tag] if tag else []}))
    path.write_text(text_of(notebook), encoding="utf-8")
    with pytest.raises(Fault, match="ZeroDivisionError"):
        pages.stored(path)
    stored = notebooks.nbformat.reads(pages.stored(path, recorded=True), as_version=4)
    assert [cell.outputs for cell in stored.cells[2:]] == [[], [], [stream(f"{os.sep}\n")]]
    assert [bool(cell.metadata.get("course")) for cell in stored.cells[2:]] == [True, False, True]


# Runs the first cell with its magics and git noted instead of done.
TRY_SETUP = """
import subprocess, sys, types
from IPython.core.interactiveshell import InteractiveShell

shell, notes = InteractiveShell.instance(), []
if {colab}:
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: notes.append("widgets")
    colab = types.ModuleType("google.colab")
    colab.output = output
    sys.modules |= {{"google": types.ModuleType("google"), "google.colab": colab}}
subprocess.run = lambda command, check: notes.append(" ".join(command))
shell.register_magic_function(lambda line: notes.append("pip " + line), magic_name="pip")
shell.register_magic_function(lambda line: notes.append("cd " + line), magic_name="cd")
shell.run_cell({source!r}).raise_error()
print("|".join(notes))
print(sys.path[0])
"""


def try_setup(colab, tmp_path):
    source = notebooks.setup_cell().source
    done = subprocess.run(
        [sys.executable, "-c", TRY_SETUP.format(colab=colab, source=source)],
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_first_cell_fetches_the_course_in_colab(tmp_path):
    notes, path = try_setup(True, tmp_path)
    clone, install, folder, widgets = notes.split("|")
    course = path
    assert course.startswith("/content/")
    assert clone.startswith("git clone") and clone.endswith(course)
    assert install == f"pip install --quiet --editable {course}"
    assert folder == f"cd {course}/book"
    assert widgets == "widgets"


def test_the_first_cell_does_nothing_elsewhere(tmp_path):
    assert try_setup(False, tmp_path)[0] == ""
