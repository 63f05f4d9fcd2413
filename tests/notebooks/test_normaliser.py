"""tools/notebooks.py on notebooks as JupyterLab and Colab leave them."""

import os
import subprocess
import sys

import notebooks
import pytest
from nbformat import v4
from notebooks import CHECKED, Fault, normalised, text_of


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def dirty():
    """A title, a checked cell, and a cell with everything that does not belong in a diff."""
    result = v4.new_output("execute_result", {"text/plain": "2"}, execution_count=17)
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# A title\n\nText."),
            v4.new_code_cell(
                f"{CHECKED}\nprint(729_144)\n1 + 1\n",
                outputs=[stream("729144\n"), result],
                execution_count=17,
            ),
            v4.new_code_cell("x = 1", outputs=[stream("noise\n")], execution_count=18),
            v4.new_code_cell(""),
        ],
        metadata={"kernelspec": {"name": "my-env", "display_name": "mine"}, "widgets": {"a": 1}},
    )
    notebook.cells[2].metadata = {
        "tags": ["full-run", "full-run"],
        "collapsed": True,
        "mystnb": {"image": {"alt": "a line", "width": 3}, "output_stderr": "remove"},
    }
    return notebook


def test_only_checked_cells_keep_outputs_and_all_counts_are_one():
    _, checked, other = normalised(dirty()).cells
    assert [output.get("text") for output in checked.outputs] == ["729144\n", None]
    assert checked.execution_count == checked.outputs[1].execution_count == 1
    assert other.outputs == [] and other.execution_count is None


def test_a_checked_cell_without_outputs_gets_no_count():
    notebook = dirty()
    notebook.cells[1].outputs = []
    assert normalised(notebook).cells[1].execution_count is None


@pytest.mark.parametrize(
    "output",
    [stream("careful\n", "stderr"), v4.new_output("error", ename="E", evalue="", traceback=[])],
)
def test_a_checked_cell_may_not_store_a_warning_or_an_error(output):
    notebook = dirty()
    notebook.cells[1].outputs.append(output)
    with pytest.raises(Fault, match="error or a warning"):
        normalised(notebook)


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
def test_outputs_of_checked_cells_are_stored_under_profile_ci(tmp_path):
    path = tmp_path / "outputs.ipynb"
    cells = [
        f"{CHECKED}\nimport os\nprint(os.environ['COURSE_PROFILE'])",
        "print('not stored')",
        "1 / 0",
    ]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    path.write_text(text_of(notebook), encoding="utf-8")
    with pytest.raises(Fault, match="ZeroDivisionError"):
        notebooks.with_outputs(path)

    notebook.cells[2].metadata["tags"] = ["nbval-skip", "skip-execution"]
    path.write_text(text_of(notebook), encoding="utf-8")
    assert notebooks.main(["--outputs", str(path)]) == 0
    stored = [cell.outputs for cell in notebooks.read(path).cells]
    assert stored == [[stream("ci\n")], [], []]


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
