import build_book
import nbformat
import pytest
import yaml


@pytest.mark.parametrize("course", [{}, {"profile": "ci"}])
def test_a_page_that_was_not_run_under_quick_stays_out_of_the_book(tmp_path, course):
    for name, metadata in {"03-old.ipynb": course, "04-new.ipynb": {"profile": "quick"}}.items():
        notebook = nbformat.v4.new_notebook(metadata={"course": metadata})
        nbformat.write(notebook, tmp_path / name)
    (line,) = build_book.not_stored(tmp_path)
    assert line.startswith("03-old.ipynb was") and line.endswith("make pages CHAPTER=03")


def test_only_a_try_executes_and_never_into_the_book(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(build_book, "BUILD", tmp_path)
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "not_stored", lambda book: [])
    monkeypatch.setattr(build_book, "executing", lambda work: work / "_config.yml")

    def build(work, environment, *options):
        (work / "_build" / "html").mkdir(parents=True)
        calls.append((work, environment.get("COURSE_PROFILE"), options))
        return True

    monkeypatch.setattr(build_book, "jupyter_book", build)
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    assert build_book.main(["--run"]) == build_book.main([]) == 0
    assert calls[0][1] == "ci" and calls[0][2] and calls[1][1:] == (None, ())
    assert (tmp_path / "tried" / "html").exists() and (tmp_path / "html").exists()


def test_the_configuration_of_a_try_differs_by_what_is_executed(tmp_path):
    tried = yaml.safe_load(build_book.executing(tmp_path).read_text(encoding="utf-8"))
    stored = yaml.safe_load((build_book.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert stored["execute"].pop("execute_notebooks") == "off"
    assert tried["execute"].pop("execute_notebooks") == "force"
    assert tried["execute"] == stored["execute"] and tried["html"] == stored["html"]
