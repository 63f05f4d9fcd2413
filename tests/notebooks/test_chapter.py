import shutil

import chapter
import notebooks
import pages
import pytest


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The files that a new chapter touches, as they are."""
    monkeypatch.setattr(chapter, "ROOT", tmp_path)
    for name in (*chapter.LISTS, "tools/chapter.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(notebooks.ROOT / name, tmp_path / name)
    return tmp_path


def test_a_skeleton_is_a_chapter_in_form_and_listed_in_its_place(root):
    before = {name: (root / name).read_text().splitlines() for name in chapter.LISTS}
    for number in (14, 2):
        path = root / chapter.lay(number, "Why it works: (a test)")
        assert path.name == f"{number:02}-why-it-works-a-test.ipynb"
        notebook = notebooks.read(path)
        assert notebooks.text_of(notebooks.normalised(notebook, path.name)) == path.read_text()
        assert len(pages.solutions(notebook)) >= 2
        assert "NAME" not in path.read_text() and "NUMBER" not in path.read_text()
    for name, lines in before.items():
        now = (root / name).read_text().splitlines()
        new = [k for k, line in enumerate(now) if "why-it-works" in line]
        (old,) = (
            k for k, line in enumerate(now) if "03-a-signal" in line and line.lstrip()[:2] == "- "
        )
        assert len(now) == len(lines) + 2 and new[0] < old < new[1], name
    with pytest.raises(SystemExit, match="there already"):
        chapter.lay(14, "Another")
